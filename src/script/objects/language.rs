//! Global functions: output, help, time, seeds, devices.

use std::time::{Duration, Instant};

use rhai::{Dynamic, EvalAltResult, FnPtr, Map, NativeCallContext, Position};

use crate::config;
use crate::plot;
use crate::script::context::ScriptContext;
use crate::script::convert::{count, from_json, options};
use crate::script::failure::{Fallible, mistake};
use crate::script::help;
use crate::script::objects::Text;
use crate::script::registry::Registry;

/// The interval at which `sleep` checks for cancellation.
const NAP: Duration = Duration::from_millis(20);

/// The options of `input`.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    password: bool,
}

pub(super) fn register(registry: &mut Registry) {
    output(registry);
    session(registry);
    control(registry);
}

fn output(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "input(prompt: string) -> string",
        "Asks the user for a line of text.",
        move |prompt: &str| -> Fallible<String> { Ok((ctx.host().input)(prompt, false)?) },
    );
    let ctx = registry.ctx();
    let member = registry.function(
        "input(prompt: string, options: map) -> string",
        "Asks the user for a line of text.\nOptions:",
        move |prompt: &str, map: Map| -> Fallible<String> {
            let Asked { password } = options("input", &map)?;
            Ok((ctx.host().input)(prompt, password)?)
        },
    );
    member.options = &[("password", "true hides what is typed (false)")];
    let ctx = registry.ctx();
    registry.function("help() -> Text", "What there is: the types and functions, with a line on each.", move || {
        Text(help::overview(ctx.catalog(), ctx.width()))
    });
    let ctx = registry.ctx();
    registry.function(
        "help(topic: any) -> Text",
        "The documentation of a value's type, or of the function, type or member (\"Model.generate\") a string names.",
        move |topic: Dynamic| -> Fallible<Text> { Ok(Text(help::topic(ctx.catalog(), &topic, ctx.width())?)) },
    );
}

fn session(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function("vars() -> Text", "The variables of the session, their types and values.", move || {
        Text(variables(&ctx))
    });
    let ctx = registry.ctx();
    registry.function(
        "seed(n: int)",
        "Starts the session's random numbers anew: fresh weights, orders of batches and samplers without a seed of their own follow from it.",
        move |n: i64| ctx.set_seed(n as u64),
    );
    let ctx = registry.ctx();
    registry.function("device() -> string", "The device on which models are made: \"cpu\" or \"cuda\".", move || {
        ctx.device_name()
    });
    let ctx = registry.ctx();
    registry.function(
        "device(name: string) -> string",
        "Chooses the device on which models are made from now on: \"cpu\", \"cuda\", \"cuda:1\", or \"auto\", the first GPU there is.",
        move |name: &str| -> Fallible<String> {
            ctx.set_device(name)?;
            Ok(ctx.device_name())
        },
    );
    registry.function(
        "config(path: string) -> map",
        "Reads a YAML or JSON file into a map, to look at, to change, and to hand to model, dataset or trainer.",
        |path: &str| -> Fallible<Dynamic> { Ok(from_json(&config::read_yaml(&crate::files::locate(path)?)?)) },
    );
}

fn control(registry: &mut Registry) {
    registry.function(
        "time(f: function) -> float",
        "Runs a function without arguments and gives the seconds it took: time(|| net.forward(batch)).",
        |context: NativeCallContext, f: FnPtr| -> Fallible<f64> {
            let begun = Instant::now();
            let _: Dynamic = f.call_within_context(&context, ())?;
            Ok(begun.elapsed().as_secs_f64())
        },
    );
    let ctx = registry.ctx();
    registry.function("sleep(seconds: float)", "Waits; cancelling ends the wait.", move |seconds: f64| {
        sleep(&ctx, seconds)
    });
    let ctx = registry.ctx();
    registry.function("sleep(seconds: int)", "Waits; cancelling ends the wait.", move |seconds: i64| {
        sleep(&ctx, seconds as f64)
    });
    let ctx = registry.ctx();
    registry.function("exit()", "Ends the program.", move || exit(&ctx, &Dynamic::from(0_i64)));
    let ctx = registry.ctx();
    registry.function(
        "exit(code: int)",
        "Ends the program with an exit code: 0 says that all is well.",
        move |code: Dynamic| exit(&ctx, &code),
    );
}

fn sleep(ctx: &ScriptContext, seconds: f64) -> Fallible<()> {
    if seconds.is_nan() || seconds < 0.0 {
        return mistake(format!("sleep takes seconds from 0 up, not {seconds}"));
    }
    let begun = Instant::now();
    let span = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    while begun.elapsed() < span {
        ctx.progress().check()?;
        std::thread::sleep(NAP.min(span - begun.elapsed().min(span)));
    }
    Ok(())
}

fn exit(ctx: &ScriptContext, code: &Dynamic) -> Fallible<()> {
    let code = if code.is_unit() { 0 } else { count("the exit code", code)? };
    if code > 255 {
        return mistake(format!("an exit code lies between 0 and 255; {code} does not"));
    }
    ctx.set_exit(Some(code as i32));
    Err(EvalAltResult::Exit(Dynamic::UNIT, Position::NONE).into())
}

fn variables(ctx: &ScriptContext) -> String {
    let rows: Vec<Vec<String>> = ctx.variables().into_iter().map(|v| vec![v.name, v.type_name, v.summary]).collect();
    if rows.is_empty() {
        return "no variables yet".into();
    }
    plot::table(&["name", "type", "value"], &rows)
}
