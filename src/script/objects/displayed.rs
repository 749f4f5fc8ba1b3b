//! The result of `display`: a handle for updates.

use rhai::Dynamic;

use crate::script::context::ScriptContext;
use crate::script::registry::{Object, Registry};
use crate::script::{Output, show};

/// A handle to a display.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Displayed(u64);

impl Displayed {
    /// Displays a value.
    fn new(ctx: &ScriptContext, value: &Dynamic) -> Self {
        let id = ctx.display_id();
        for bundle in show::besides(ctx, value) {
            ctx.say(Output::Display { bundle, id: None });
        }
        ctx.say(Output::Display { bundle: show::all(ctx, value), id: Some(id) });
        Self(id)
    }
}

impl Object for Displayed {
    const NAME: &'static str = "Display";
    const DOC: &'static str = "Something that was displayed: let d = display(x); d.update(y) shows y where x stood.";

    fn line(&self) -> String {
        format!("Display {}", self.0)
    }
}

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "display(value: any) -> Display",
        "Shows a value in its richest form: a picture in a notebook, text in a terminal. What it gives can be updated.",
        move |value: Dynamic| Displayed::new(&ctx, &value),
    );
    let ctx = registry.ctx();
    registry.function("clear_output()", "Clears what the cell has shown so far.", move || {
        ctx.say(Output::Clear { wait: false });
    });
    let ctx = registry.ctx();
    registry.function(
        "clear_output(wait: bool)",
        "Clears what the cell has shown so far; if wait, when the next output comes, so that nothing flickers.",
        move |wait: bool| ctx.say(Output::Clear { wait }),
    );
    let mut display = registry.object::<Displayed>();
    let ctx = display.ctx();
    display.method(
        "update(value: any)",
        "Shows another value in its place.",
        move |d: &mut Displayed, value: Dynamic| {
            ctx.say(Output::Update { bundle: show::all(&ctx, &value), id: d.0 });
        },
    );
}
