//! The performance encoding of Music Transformer (Huang et al. 2018; Oore et al. 2018): keys go down and up, time
//! passes in steps of 10 ms.
//!
//! | ids | tokens | meaning |
//! |---|---|---|
//! | 0–3 | `PAD_None BOS_None EOS_None MASK_None` | special |
//! | 4–131 | `NoteOn_0 … NoteOn_127` | a key goes down |
//! | 132–259 | `NoteOff_0 … NoteOff_127` | a key goes up |
//! | 260–359 | `TimeShift_1 … TimeShift_100` | 1 to 100 steps of 10 ms pass |
//! | 360–391 | `Velocity_0 … Velocity_31` | loudness of what follows, four MIDI velocities each |
//! | 392–560 | `Chord_N.C.`, `Chord_C:maj … Chord_B:aug` | the chord from here on (option `chords`) |
//!
//! Events at one instant have one order: the chord, the keys that go up by pitch, the keys that go down by
//! pitch, each with a velocity before it when that changes. Time between instants is `TimeShift_100` as often as it
//! fits and then the rest. So a score has one spelling, and the grammar accepts no other.
//!
//! For byte-pair encoding, words are cut every two seconds, a bar at 120 beats per minute, and at chords.

mod decode;
mod encode;
mod rules;
#[cfg(test)]
mod tests;

pub(super) use rules::KeyRules;

use crate::harmony::{Chord, ChordAt, ChordClass, chord_markers};
use crate::midi::Score;
use crate::tokens::bpe_words::Words;
use crate::tokens::chords;
use crate::tokens::pitches::{PIANO, key_name};
use crate::tokens::timed::{LONGEST_SHIFT, RATE, velocity};
use crate::tokens::{TokenKind, Vocabulary};

/// Steps in a word.
const WORD: u64 = 200;

/// A decoded token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyEvent {
    Pad,
    Bos,
    Eos,
    Mask,
    On(u8),
    Off(u8),
    Shift(u32),
    Velocity(u8),
    Chord(u32),
}

impl KeyEvent {
    const ON: u32 = 4;
    const OFF: u32 = Self::ON + 128;
    const SHIFT: u32 = Self::OFF + 128;
    const VELOCITY: u32 = Self::SHIFT + LONGEST_SHIFT;
    const CHORD: u32 = Self::VELOCITY + 32;
    const END: u32 = Self::CHORD + chords::COUNT;

    fn of(id: u32) -> Option<Self> {
        Some(match id {
            0 => Self::Pad,
            1 => Self::Bos,
            2 => Self::Eos,
            3 => Self::Mask,
            Self::ON..Self::OFF => Self::On((id - Self::ON) as u8),
            Self::OFF..Self::SHIFT => Self::Off((id - Self::OFF) as u8),
            Self::SHIFT..Self::VELOCITY => Self::Shift(id - Self::SHIFT + 1),
            Self::VELOCITY..Self::CHORD => Self::Velocity((id - Self::VELOCITY) as u8),
            Self::CHORD..Self::END => Self::Chord(id - Self::CHORD),
            _ => return None,
        })
    }

    fn id(self) -> u32 {
        match self {
            Self::Pad => 0,
            Self::Bos => 1,
            Self::Eos => 2,
            Self::Mask => 3,
            Self::On(pitch) => Self::ON + u32::from(pitch),
            Self::Off(pitch) => Self::OFF + u32::from(pitch),
            Self::Shift(steps) => Self::SHIFT + steps - 1,
            Self::Velocity(bin) => Self::VELOCITY + u32::from(bin),
            Self::Chord(place) => Self::CHORD + place,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Pad => "PAD_None".to_string(),
            Self::Bos => "BOS_None".to_string(),
            Self::Eos => "EOS_None".to_string(),
            Self::Mask => "MASK_None".to_string(),
            Self::On(pitch) => format!("NoteOn_{pitch}"),
            Self::Off(pitch) => format!("NoteOff_{pitch}"),
            Self::Shift(steps) => format!("TimeShift_{steps}"),
            Self::Velocity(bin) => format!("Velocity_{bin}"),
            Self::Chord(place) => chords::name(place),
        }
    }

    fn kind(self) -> TokenKind {
        match self {
            Self::Pad | Self::Bos | Self::Eos | Self::Mask => TokenKind::Special,
            Self::On(_) => TokenKind::Note,
            Self::Off(_) => TokenKind::NoteOff,
            Self::Shift(_) => TokenKind::Time,
            Self::Velocity(_) => TokenKind::Velocity,
            Self::Chord(_) => TokenKind::Chord,
        }
    }
}

/// The encoding with its option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Performance {
    /// Whether there are chord tokens.
    pub(super) chords: bool,
}

impl Performance {
    pub(super) fn vocabulary(self) -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        for event in (0..self.vocab_size()).filter_map(KeyEvent::of) {
            vocabulary.push(event.name(), event.kind());
        }
        vocabulary
    }

    fn vocab_size(self) -> u32 {
        if self.chords { KeyEvent::END } else { KeyEvent::CHORD }
    }

    pub(super) fn encode(self, score: &Score) -> Vec<u32> {
        if self.chords { encode::encode(score, &chord_markers(score)) } else { encode::encode(score, &[]) }
    }

    pub(super) fn encode_with(self, score: &Score, chords: &[ChordAt]) -> Vec<u32> {
        encode::encode(score, if self.chords { chords } else { &[] })
    }

    /// Splits ids into words.
    pub(super) fn words(self, ids: Vec<u32>) -> Words {
        let mut words = Words::default();
        let (mut now, mut word) = (0, None);
        for id in ids {
            let event = KeyEvent::of(id);
            let chord = matches!(event, Some(KeyEvent::Chord(_)));
            if chord || word != Some(now / WORD) {
                words.cut();
            }
            words.ids.push(id);
            word = (!chord).then_some(now / WORD);
            if let Some(KeyEvent::Shift(steps)) = event {
                now += u64::from(steps);
            }
        }
        words
    }

    pub(super) fn decode(self, ids: &[u32]) -> Score {
        decode::decode(ids.iter().copied().filter(|&id| id < self.vocab_size()))
    }

    pub(super) fn pitch(self, id: u32) -> Option<u8> {
        match KeyEvent::of(id) {
            Some(KeyEvent::On(pitch)) => Some(pitch),
            _ => None,
        }
    }

    /// The tones of the chord that a token sets, a bit for each pitch class.
    pub(super) fn chord_tones(self, id: u32) -> Option<u16> {
        match KeyEvent::of(id) {
            Some(KeyEvent::Chord(place)) if self.chords => Some(match chords::class(place)? {
                ChordClass::None => 0,
                class => Chord::of_class(class).pitches().iter().fold(0, |set, &pitch| set | 1 << (pitch % 12)),
            }),
            _ => None,
        }
    }

    /// The ids of the same piece `semitones` higher; `None` when a pitch would leave the piano.
    pub(super) fn transpose(self, ids: &[u32], semitones: i32) -> Option<Vec<u32>> {
        let shift = |pitch: u8| {
            let moved = i32::from(pitch) + semitones;
            (semitones == 0 || PIANO.contains(&moved)).then_some(moved as u8)
        };
        let mut moved = Vec::with_capacity(ids.len());
        for &id in ids {
            moved.push(match KeyEvent::of(id) {
                Some(KeyEvent::On(pitch)) => KeyEvent::On(shift(pitch)?).id(),
                Some(KeyEvent::Off(pitch)) => KeyEvent::Off(shift(pitch)?).id(),
                Some(KeyEvent::Chord(place)) => KeyEvent::Chord(chords::transpose(place, semitones)).id(),
                _ => id,
            });
        }
        Some(moved)
    }

    /// The steps that a time shift lets pass.
    pub(super) fn shift_steps(self, id: u32) -> Option<u32> {
        match KeyEvent::of(id) {
            Some(KeyEvent::Shift(steps)) => Some(steps),
            _ => None,
        }
    }

    /// The id of a time shift of 1 to [`LONGEST_SHIFT`] steps.
    pub(super) fn shift(self, steps: u32) -> u32 {
        KeyEvent::Shift(steps).id()
    }

    pub(super) fn rules(self) -> KeyRules {
        KeyRules::new(self.vocab_size())
    }

    /// Seconds at which each id happens.
    pub(super) fn moments(self, ids: &[u32]) -> Vec<f64> {
        let mut steps = 0_u64;
        ids.iter()
            .map(|&id| {
                let now = steps;
                if let Some(KeyEvent::Shift(shift)) = KeyEvent::of(id) {
                    steps += u64::from(shift);
                }
                now as f64 / RATE
            })
            .collect()
    }

    /// A description of a token for display: the name of the key, the time in seconds, the loudness.
    pub(super) fn gloss(self, id: u32) -> String {
        match KeyEvent::of(id) {
            Some(KeyEvent::On(pitch) | KeyEvent::Off(pitch)) => key_name(pitch),
            Some(KeyEvent::Shift(steps)) => format!("{:.2} s", f64::from(steps) / RATE),
            Some(KeyEvent::Velocity(bin)) => format!("loudness {}", velocity(bin)),
            _ => String::new(),
        }
    }
}
