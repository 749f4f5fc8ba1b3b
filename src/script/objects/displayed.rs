//! What `display` gives: a handle on what was shown.

use rhai::Dynamic;

use crate::script::kit::{Kit, Object};
use crate::script::studio::Studio;
use crate::script::{Output, show};

/// A handle on something that was displayed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Displayed(u64);

impl Displayed {
    /// Shows a value.
    fn new(studio: &Studio, value: &Dynamic) -> Self {
        let id = studio.display_id();
        for bundle in show::besides(studio, value) {
            studio.say(Output::Display { bundle, id: None });
        }
        studio.say(Output::Display { bundle: show::all(studio, value), id: Some(id) });
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

pub(super) fn register(kit: &mut Kit) {
    let studio = kit.studio();
    kit.function(
        "display(value: any) -> Display",
        "Shows a value in its richest form: a picture in a notebook, text in a terminal. What it gives can be updated.",
        move |value: Dynamic| Displayed::new(&studio, &value),
    );
    let studio = kit.studio();
    kit.function("clear_output()", "Clears what the cell has shown so far.", move || {
        studio.say(Output::Clear { wait: false });
    });
    let studio = kit.studio();
    kit.function(
        "clear_output(wait: bool)",
        "Clears what the cell has shown so far; if wait, when the next output comes, so that nothing flickers.",
        move |wait: bool| studio.say(Output::Clear { wait }),
    );
    let mut display = kit.object::<Displayed>();
    let studio = display.studio();
    display.method(
        "update(value: any)",
        "Shows another value in its place.",
        move |d: &mut Displayed, value: Dynamic| {
            studio.say(Output::Update { bundle: show::all(&studio, &value), id: d.0 });
        },
    );
}
