//! The grammar of the performance encoding: exactly the sequences that encoding a score gives.

use std::ops::RangeInclusive;

use crate::harmony::{ChordAt, ChordClass};
use crate::tokens::chords;
use crate::tokens::timed::{LONGEST_SHIFT, Timeline};

use super::{KeyEvent, WORD};

/// Keys that may go down at one instant, and be held, when sampling: ten fingers and a pedal. Files may have more.
const FINGERS: u32 = 10;
const HELD: u32 = 24;

/// The state of a sequence.
#[derive(Debug, Clone)]
pub(crate) struct KeyRules {
    vocab_size: u32,
    /// A bit for each pitch that is held.
    held: u128,
    /// Keys that were struck at this instant.
    fell: u32,
    velocity: Option<u8>,
    chord: Option<u32>,
    time: Timeline,
    last: LastKeyEvent,
}

/// The last event, as far as the next depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastKeyEvent {
    /// None yet.
    Begin,
    /// Time advanced by the longest shift: more may follow.
    FullShift,
    /// Time advanced; events follow.
    Shift,
    Chord,
    Off(u8),
    On(u8),
    /// A note must follow, above this one if there was one at this instant.
    Velocity(Option<u8>),
    End,
}

impl KeyRules {
    pub(super) fn new(vocab_size: u32) -> Self {
        Self {
            vocab_size,
            held: 0,
            fell: 0,
            velocity: None,
            chord: None,
            time: Timeline::default(),
            last: LastKeyEvent::Begin,
        }
    }

    pub(crate) fn allow(&self, mask: &mut [bool]) {
        for (id, allowed) in mask.iter_mut().enumerate() {
            *allowed = self.samples(id as u32);
        }
    }

    /// Whether sampling may give it: no chords, and no more keys than hands can play.
    pub(crate) fn samples(&self, id: u32) -> bool {
        let plays = matches!(KeyEvent::of(id), Some(KeyEvent::On(_) | KeyEvent::Velocity(_)));
        id < KeyEvent::CHORD && self.accepts(id) && !(plays && self.is_full())
    }

    /// True when no finger is free for another key. A note after a velocity is still allowed.
    fn is_full(&self) -> bool {
        let owing = matches!(self.last, LastKeyEvent::Velocity(_));
        !owing && (self.fell >= FINGERS || self.held.count_ones() >= HELD)
    }

    pub(crate) fn accepts(&self, id: u32) -> bool {
        let Some(event) = KeyEvent::of(id).filter(|_| id < self.vocab_size) else { return false };
        if self.last == LastKeyEvent::End {
            return event == KeyEvent::Eos;
        }
        let fresh = matches!(self.last, LastKeyEvent::Begin | LastKeyEvent::FullShift | LastKeyEvent::Shift);
        let owing = matches!(self.last, LastKeyEvent::Velocity(_));
        match event {
            KeyEvent::Pad | KeyEvent::Bos | KeyEvent::Mask => false,
            KeyEvent::Eos => {
                self.held == 0 && matches!(self.last, LastKeyEvent::Begin | LastKeyEvent::Chord | LastKeyEvent::Off(_))
            }
            KeyEvent::Chord(place) => fresh && self.chord != Some(place),
            KeyEvent::Off(pitch) => {
                let in_order = match self.last {
                    LastKeyEvent::Off(before) => pitch > before,
                    LastKeyEvent::Chord => true,
                    _ => fresh,
                };
                in_order && self.held >> pitch & 1 == 1
            }
            KeyEvent::On(pitch) => self.velocity.is_some() && self.free() >> pitch & 1 == 1,
            KeyEvent::Velocity(bin) => !owing && self.velocity != Some(bin) && self.free() != 0,
            KeyEvent::Shift(steps) => !owing && self.last != LastKeyEvent::Shift && u64::from(steps) <= self.room(),
        }
    }

    pub(crate) fn push(&mut self, id: u32) {
        if !self.accepts(id) {
            return;
        }
        self.last = match KeyEvent::of(id) {
            Some(KeyEvent::Eos) => LastKeyEvent::End,
            Some(KeyEvent::Chord(place)) => {
                self.chord = Some(place);
                self.time.lift();
                LastKeyEvent::Chord
            }
            Some(KeyEvent::Off(pitch)) => {
                self.held &= !(1 << pitch);
                LastKeyEvent::Off(pitch)
            }
            Some(KeyEvent::On(pitch)) => {
                self.held |= 1 << pitch;
                self.fell += 1;
                LastKeyEvent::On(pitch)
            }
            Some(KeyEvent::Velocity(bin)) => {
                self.velocity = Some(bin);
                LastKeyEvent::Velocity(self.highest())
            }
            Some(KeyEvent::Shift(steps)) => {
                self.time.pass(steps);
                self.fell = 0;
                if steps == LONGEST_SHIFT { LastKeyEvent::FullShift } else { LastKeyEvent::Shift }
            }
            Some(KeyEvent::Pad | KeyEvent::Bos | KeyEvent::Mask) | None => self.last,
        };
    }

    /// The shift that ends at the horizon, and the longer ones, which would pass it; `None` while none would.
    pub(crate) fn cut_shifts(&self) -> Option<(u32, RangeInclusive<u32>)> {
        let shift = |steps| KeyEvent::Shift(steps).id();
        self.time.shift_to_horizon().map(|steps| (shift(steps), shift(steps + 1)..=shift(LONGEST_SHIFT)))
    }

    /// The id that sets a chord; none where there are no chords.
    pub(crate) fn chord_ids(&self, class: ChordClass) -> Vec<u32> {
        let id = KeyEvent::Chord(chords::place(class)).id();
        if id < self.vocab_size { vec![id] } else { Vec::new() }
    }

    pub(crate) fn chord(&self) -> Option<ChordClass> {
        chords::class(self.chord?)
    }

    pub(crate) fn word(&self, _: u32) -> u64 {
        self.time.now / WORD
    }

    /// Words are split wherever they can be.
    pub(crate) fn has_tail(&self) -> bool {
        false
    }

    pub(crate) fn begins_something(&self, id: u32) -> bool {
        matches!(KeyEvent::of(id), Some(KeyEvent::On(_)))
    }

    pub(crate) fn shifts(&self, id: u32) -> bool {
        matches!(KeyEvent::of(id), Some(KeyEvent::Shift(_)))
    }

    pub(crate) fn sounds(&self) -> bool {
        self.held != 0
    }

    pub(crate) fn set_horizon(&mut self, at: Option<&ChordAt>) {
        self.time.set_horizon(at);
    }

    pub(crate) fn reached(&self, at: &ChordAt) -> bool {
        self.time.reached(at)
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.time.seconds()
    }

    /// The highest pitch struck at this instant.
    fn highest(&self) -> Option<u8> {
        match self.last {
            LastKeyEvent::On(pitch) => Some(pitch),
            LastKeyEvent::Velocity(above) => above,
            _ => None,
        }
    }

    /// The pitches that may be struck now: those not held, above the last that was.
    fn free(&self) -> u128 {
        let above = match self.highest() {
            Some(127) => 0,
            Some(pitch) => u128::MAX << (pitch + 1),
            None => u128::MAX,
        };
        above & !self.held
    }

    /// The steps by which time may advance; see [`Timeline::room`].
    fn room(&self) -> u64 {
        let stuck = matches!(self.last, LastKeyEvent::On(_)) && (self.free() == 0 || self.is_full());
        self.time.room(stuck)
    }
}
