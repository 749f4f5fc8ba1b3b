//! What scripts can do: one file an object.

mod chords;
mod language;
mod score;
mod text;
mod tokenizer;

use crate::script::kit::Kit;

pub(crate) use chords::Chords;
pub(crate) use score::Score;
pub(crate) use text::Text;

/// Registers everything.
pub(crate) fn register(kit: &mut Kit) {
    language::register(kit);
    text::register(kit);
    score::register(kit);
    chords::register(kit);
    tokenizer::register(kit);
}
