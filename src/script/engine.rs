//! Sets up Rhai's engine with our limits, hooks and objects.

use std::ops::{Range, RangeInclusive};

use rhai::{Dynamic, Engine, FnPtr};

use crate::script::context::ScriptContext;
use crate::script::failure::STOPPED;
use crate::script::globals::Globals;
use crate::script::modules::Modules;
use crate::script::parser::{LastMarks, syntax};
use crate::script::registry::Registry;
use crate::script::{Output, objects};

/// The most nested calls, for which [`on_big_stack`](crate::script::on_big_stack) is large enough.
const CALL_LEVELS: usize = 200;

/// An engine whose functions work on the context and whose scripts see `globals`.
pub(crate) fn engine(ctx: &ScriptContext, globals: &Globals, marks: &LastMarks) -> Engine {
    let mut engine = Engine::new();
    engine
        .set_max_call_levels(CALL_LEVELS)
        .set_max_operations(0)
        // No limits on the sizes of strings, arrays and maps: Rhai would count a whole array after every push.
        .set_fail_on_invalid_map_property(true)
        .set_module_resolver(Modules::default());
    name_types(&mut engine);
    syntax(&mut engine, marks);
    hooks(&mut engine, ctx, globals);
    let mut registry = Registry::new(&mut engine, ctx.clone());
    objects::register(&mut registry);
    registry.finish();
    engine
}

/// Names Rhai's own types as in documentation and errors.
fn name_types(engine: &mut Engine) {
    engine.register_type_with_name::<i64>("int").register_type_with_name::<f64>("float");
    engine.register_type_with_name::<FnPtr>("function").register_type_with_name_raw("Fn", "function");
    engine.register_type_with_name::<Range<i64>>("range").register_type_with_name::<RangeInclusive<i64>>("range");
}

// Rhai calls these hooks volatile, not obsolete.
#[allow(deprecated)]
fn hooks(engine: &mut Engine, ctx: &ScriptContext, globals: &Globals) {
    let host = ctx.clone();
    engine.on_print(move |text| host.say(Output::Text(format!("{text}\n"))));
    let host = ctx.clone();
    engine.on_debug(move |text, _, position| {
        let place = position.line().map(|line| format!("line {line}: ")).unwrap_or_default();
        host.say(Output::Warning(format!("{place}{text}\n")));
    });
    let interrupt = ctx.progress().interrupt().clone();
    engine.on_progress(move |_| interrupt.is_set().then(|| Dynamic::from(STOPPED)));
    let (host, globals) = (ctx.clone(), globals.clone());
    engine.on_var(move |name, place, context| globals.resolve(&host, name, place, context));
}
