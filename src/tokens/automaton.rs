//! `Automaton`: dispatch over the grammars of the encodings.

use std::ops::RangeInclusive;

use crate::harmony::{ChordAt, ChordClass};
use crate::tokens::{miditok, note_duration, performance};

/// The grammar state of a sequence of base tokens.
#[derive(Debug, Clone)]
pub(super) enum Automaton {
    Performance(performance::KeyRules),
    NoteDuration(Box<note_duration::NoteRules>),
    MidiTok(miditok::MidiTokRules),
}

/// The same call on the rules of either encoding.
macro_rules! either {
    ($automaton:expr, $rules:ident => $call:expr) => {
        match $automaton {
            Automaton::Performance($rules) => $call,
            Automaton::NoteDuration($rules) => $call,
            Automaton::MidiTok($rules) => $call,
        }
    };
}

impl Automaton {
    pub(super) fn allow(&self, mask: &mut [bool]) {
        either!(self, rules => rules.allow(mask));
    }

    /// Whether sampling may give `id`: see [`Automaton::allow`].
    pub(super) fn samples(&self, id: u32) -> bool {
        either!(self, rules => rules.samples(id))
    }

    pub(super) fn accepts(&self, id: u32) -> bool {
        either!(self, rules => rules.accepts(id))
    }

    pub(super) fn push(&mut self, id: u32) {
        either!(self, rules => rules.push(id));
    }

    pub(super) fn set_horizon(&mut self, at: Option<&ChordAt>) {
        either!(self, rules => rules.set_horizon(at));
    }

    pub(super) fn reached(&self, at: &ChordAt) -> bool {
        either!(self, rules => rules.reached(at))
    }

    pub(super) fn seconds(&self) -> f64 {
        either!(self, rules => rules.seconds())
    }

    /// The ids that set a chord in this state; none where the encoding has no chords.
    pub(super) fn chord_ids(&self, class: ChordClass) -> Vec<u32> {
        match self {
            Self::Performance(rules) => rules.chord_ids(class),
            Self::NoteDuration(rules) => rules.chord_ids(class),
            Self::MidiTok(_) => Vec::new(),
        }
    }

    /// The chord in force.
    pub(super) fn chord(&self) -> Option<ChordClass> {
        match self {
            Self::Performance(rules) => rules.chord(),
            Self::NoteDuration(rules) => rules.chord(),
            Self::MidiTok(_) => None,
        }
    }

    /// The shift that ends at the horizon, and the longer ones; `None` where none would pass it.
    pub(super) fn cut_shifts(&self) -> Option<(u32, RangeInclusive<u32>)> {
        match self {
            Self::Performance(rules) => rules.cut_shifts(),
            Self::NoteDuration(rules) => rules.cut_shifts(),
            Self::MidiTok(_) => None,
        }
    }

    /// The ids of the time up to a click at a moment; none where the encoding has no clicks.
    pub(super) fn approach(&self, at: &ChordAt) -> Vec<u32> {
        match self {
            Self::NoteDuration(rules) => rules.approach(at),
            Self::Performance(_) | Self::MidiTok(_) => Vec::new(),
        }
    }

    /// The ids at the beginning of a sequence that continues from this state; `None` for encodings without openings.
    pub(super) fn opening(&self) -> Option<Vec<u32>> {
        match self {
            Self::NoteDuration(rules) => Some(rules.opening()),
            Self::Performance(_) | Self::MidiTok(_) => None,
        }
    }

    /// The start of the word that `id` would belong to if it came next.
    pub(super) fn word(&self, id: u32) -> u64 {
        either!(self, rules => rules.word(id))
    }

    /// Whether the last word of a sequence may continue past word boundaries with ends of notes only.
    pub(super) fn has_tail(&self) -> bool {
        either!(self, rules => rules.has_tail())
    }

    /// Whether an event starts with `id`: a note, a metre, a tempo.
    pub(super) fn begins(&self, id: u32) -> bool {
        either!(self, rules => rules.begins_something(id))
    }

    /// Whether `id` advances time.
    pub(super) fn shifts(&self, id: u32) -> bool {
        either!(self, rules => rules.shifts(id))
    }

    /// Whether a note sounds.
    pub(super) fn sounds(&self) -> bool {
        either!(self, rules => rules.sounds())
    }
}
