//! Which token may follow: the same automaton serves sampling (as a mask) and tests (as a judge).

use crate::harmony::ChordAt;
use crate::tokens::{miditok, performance};

/// The state of a sequence under the rules of its encoding.
///
/// A sequence that [`Grammar::accepts`] from its first id to EOS decodes to a score whose encoding is that sequence
/// again. Two things are special about chords, which are given and never invented:
/// [`Grammar::allow`] leaves chord tokens out, [`Grammar::accepts`] takes them where an encoding would put them; and a
/// horizon keeps time from passing the moment at which the next chord is due.
///
/// To play over chords: set the horizon to the next chord; sample under the mask and push; as soon as the chord is
/// [`Grammar::reached`], push its token and set the next horizon. The mask always has a place to go: a caller who leaves
/// a reached horizon standing gets events at that instant, and when there are none left, time passes all the same.
#[derive(Debug, Clone)]
pub struct Grammar {
    rules: Rules,
}

/// The automata of the encodings.
#[derive(Debug, Clone)]
pub(super) enum Rules {
    Performance(performance::Rules),
    MidiTok(miditok::Rules),
}

impl Grammar {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules }
    }

    /// Writes for every id whether it may come next. `mask` has one place an id; it is never left all false.
    ///
    /// PAD, BOS, MASK and chords are not allowed. After EOS only EOS is, which changes nothing.
    pub fn allow(&self, mask: &mut [bool]) {
        match &self.rules {
            Rules::Performance(rules) => rules.allow(mask),
            Rules::MidiTok(rules) => rules.allow(mask),
        }
    }

    /// True when `id` may come next; a chord may where an encoding would put it.
    pub fn accepts(&self, id: u32) -> bool {
        match &self.rules {
            Rules::Performance(rules) => rules.accepts(id),
            Rules::MidiTok(rules) => rules.accepts(id),
        }
    }

    /// Takes `id` as said. What the rules forbid is passed over.
    pub fn push(&mut self, id: u32) {
        match &mut self.rules {
            Rules::Performance(rules) => rules.push(id),
            Rules::MidiTok(rules) => rules.push(id),
        }
    }

    /// Forbids time to run past this moment, so that a chord can be set exactly there; `None` lifts it, and so does a
    /// chord that is pushed at it. A chord that is in force already is no change: do not stop time for it.
    pub fn set_horizon(&mut self, at: Option<&ChordAt>) {
        match &mut self.rules {
            Rules::Performance(rules) => rules.set_horizon(at),
            Rules::MidiTok(rules) => rules.set_horizon(at),
        }
    }

    /// True when time stands at this moment or past it.
    pub fn reached(&self, at: &ChordAt) -> bool {
        match &self.rules {
            Rules::Performance(rules) => rules.reached(at),
            Rules::MidiTok(rules) => rules.reached(at),
        }
    }

    /// Seconds since the start (for encodings in beats: at 120 beats per minute).
    pub fn seconds(&self) -> f64 {
        match &self.rules {
            Rules::Performance(rules) => rules.seconds(),
            Rules::MidiTok(rules) => rules.seconds(),
        }
    }
}
