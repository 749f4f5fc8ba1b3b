//! Text that is displayed unchanged: help, tables, listings.

use crate::script::failure::Failure;
use crate::script::registry::{Object, Registry};

/// A text of several lines.
#[derive(Debug, Clone)]
pub(crate) struct Text(pub(crate) String);

impl Object for Text {
    const NAME: &'static str = "Text";
    const DOC: &'static str = "A text that is shown as it is, such as what help gives.";

    fn line(&self) -> String {
        self.0.lines().next().unwrap_or_default().into()
    }

    fn text(&self, _width: usize) -> String {
        self.0.clone()
    }
}

impl Object for Failure {
    const NAME: &'static str = "Error";
    const DOC: &'static str =
        "What catch (e) holds when one of the functions here refused: the message and the remedy.";

    fn line(&self) -> String {
        self.message.clone()
    }

    fn text(&self, _width: usize) -> String {
        self.to_string()
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.object::<Text>().method(
        "contains(part: string) -> bool",
        "True when the text has this part.",
        |t: &mut Text, part: &str| t.0.contains(part),
    );
    let mut failure = registry.object::<Failure>();
    failure.get("message -> string", "What went wrong.", |e: &mut Failure| e.message.clone());
    failure.get("hint -> string", "What to do about it; empty when nothing is known.", |e: &mut Failure| {
        e.hint.clone().unwrap_or_default()
    });
    failure.method(
        "contains(part: string) -> bool",
        "True when message or hint have this part.",
        |e: &mut Failure, part: &str| e.to_string().contains(part),
    );
}
