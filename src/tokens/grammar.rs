//! Which token may follow: the same automaton serves sampling (as a mask) and tests (as a judge).

use crate::harmony::ChordAt;

/// The state of a sequence under the rules of its encoding.
///
/// A sequence the grammar accepts decodes to a score whose encoding is that sequence again.
#[derive(Debug, Clone)]
pub struct Grammar {}

impl Grammar {
    /// Writes for every id whether it may come next. `mask` has one place an id.
    pub fn allow(&self, _mask: &mut [bool]) {
        todo!()
    }

    /// True when `id` may come next.
    pub fn accepts(&self, _id: u32) -> bool {
        todo!()
    }

    /// Takes `id` as said. What the rules forbid is passed over.
    pub fn push(&mut self, _id: u32) {
        todo!()
    }

    /// Forbids time to run past this moment, so that a chord can be set exactly there; `None` lifts it.
    pub fn set_horizon(&mut self, _at: Option<&ChordAt>) {
        todo!()
    }

    /// True when time stands at this moment or past it.
    pub fn reached(&self, _at: &ChordAt) -> bool {
        todo!()
    }

    /// Seconds since the start (for encodings in beats: at 120 beats per minute).
    pub fn seconds(&self) -> f64 {
        todo!()
    }
}
