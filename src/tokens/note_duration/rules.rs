//! The grammar of `note_duration`: the sequences that encoding a score gives, and those in which a sounding key is
//! struck again.

use std::ops::RangeInclusive;

use crate::harmony::{ChordAt, ChordClass};
use crate::tokens::timed::{LONGEST_SHIFT, Timeline, shifts_to_click};

use super::event::{NoteEvent, NoteLayout};
use super::tonality::Tonality;
use super::{NoteDuration, WORD, lengths};

/// Keys that may go down at one instant, and sound at once, when sampling: ten fingers. Files may have more.
const FINGERS: usize = 10;
/// The longest note that is sampled, in steps.
const LONGEST_NOTE: u32 = 800;
/// The keys of a piano: no others are sampled.
const PIANO: RangeInclusive<u8> = 21..=108;

/// The state of a sequence.
#[derive(Debug, Clone)]
pub(crate) struct NoteRules {
    layout: NoteLayout,
    /// The step at which each pitch falls silent.
    ends: [u64; 128],
    /// Keys that were struck at this instant.
    fell: usize,
    velocity: Option<u8>,
    tonality: Tonality,
    time: Timeline,
    last: LastNoteEvent,
    style: Option<u32>,
    tempo: Option<u32>,
}

/// The last event, as far as the next depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastNoteEvent {
    /// None yet, or the style.
    Begin,
    /// Time advanced by the longest shift: more may follow.
    FullShift,
    /// Time advanced; events follow.
    Shift,
    /// A bar or a beat is next: the time until it follows.
    Click,
    Beat,
    /// A quality must follow.
    Root,
    Chord,
    /// A pitch must follow, above this one if there was one at this instant.
    Velocity(Option<u8>),
    /// A duration must follow.
    Pitch(u8),
    /// A note is complete.
    Note(u8),
    End,
}

impl NoteRules {
    pub(super) fn new(scheme: &NoteDuration) -> Self {
        Self {
            layout: scheme.layout,
            ends: [0; 128],
            fell: 0,
            velocity: None,
            tonality: Tonality::new(scheme.chord_relative),
            time: Timeline::default(),
            last: LastNoteEvent::Begin,
            style: None,
            tempo: None,
        }
    }

    pub(crate) fn allow(&self, mask: &mut [bool]) {
        for (id, allowed) in mask.iter_mut().enumerate() {
            *allowed = self.samples(id as u32);
        }
    }

    /// Whether sampling may give it: no conditioning tokens, and no more keys than hands can play.
    pub(crate) fn samples(&self, id: u32) -> bool {
        let Some(event) = self.layout.event(id).filter(|_| self.accepts(id)) else { return false };
        match event {
            NoteEvent::Velocity(_) => !self.is_full() && self.highest().is_none_or(|highest| highest < *PIANO.end()),
            NoteEvent::Pitch(above) => {
                let pitch = self.tonality.pitch(above);
                !self.is_full() && pitch.is_some_and(|pitch| PIANO.contains(&pitch))
            }
            NoteEvent::Duration(place) => lengths::steps(place) <= LONGEST_NOTE,
            // With all fingers down, time passes until one is free, or as far as it can.
            NoteEvent::Shift(steps) => {
                let then = self.time.now + u64::from(steps);
                steps == LONGEST_SHIFT || self.time.is_horizon(then) || self.sounding(then) < FINGERS
            }
            NoteEvent::Eos => true,
            _ => false,
        }
    }

    /// True when no finger is free for another key. A pitch after a velocity, or after time has advanced, is still
    /// allowed.
    fn is_full(&self) -> bool {
        let owing = matches!(self.last, LastNoteEvent::Velocity(_) | LastNoteEvent::Shift);
        !owing && (self.fell >= FINGERS || self.sounding(self.time.now) >= FINGERS)
    }

    /// Keys that sound at a step.
    fn sounding(&self, step: u64) -> usize {
        self.ends.iter().filter(|&&end| end > step).count()
    }

    pub(crate) fn accepts(&self, id: u32) -> bool {
        let Some(event) = self.layout.event(id) else { return false };
        let fresh = matches!(self.last, LastNoteEvent::Begin | LastNoteEvent::FullShift | LastNoteEvent::Shift);
        match (self.last, event) {
            (LastNoteEvent::End, _) => event == NoteEvent::Eos,
            (LastNoteEvent::Root, NoteEvent::Quality(quality)) => {
                let root = self.tonality.root.unwrap_or(0);
                self.tonality.chord != Some(ChordClass::Some { root, quality })
            }
            (LastNoteEvent::Pitch(_), NoteEvent::Duration(_)) => true,
            (LastNoteEvent::Root | LastNoteEvent::Pitch(_), _)
            | (_, NoteEvent::Quality(_) | NoteEvent::Duration(_)) => false,
            (_, NoteEvent::Pitch(above)) => {
                self.velocity.is_some() && self.tonality.pitch(above).is_some_and(|pitch| self.is_free(pitch))
            }
            (LastNoteEvent::Velocity(_), _) => false,
            (_, NoteEvent::Pad | NoteEvent::Bos | NoteEvent::Mask) => false,
            (last, NoteEvent::Eos) => {
                matches!(last, LastNoteEvent::Begin | LastNoteEvent::Chord | LastNoteEvent::Note(_))
            }
            (last, NoteEvent::Style(_)) => last == LastNoteEvent::Begin && self.style.is_none() && self.time.now == 0,
            (last, NoteEvent::Tempo(_)) => {
                matches!(last, LastNoteEvent::Begin | LastNoteEvent::Beat | LastNoteEvent::Click)
                    && self.tempo != Some(id)
            }
            // What time has been let pass for happens before the next click.
            (last, NoteEvent::Bar | NoteEvent::Beat) => {
                !matches!(last, LastNoteEvent::Shift | LastNoteEvent::FullShift)
            }
            (last, NoteEvent::NoChord) => {
                (fresh || matches!(last, LastNoteEvent::Beat | LastNoteEvent::Click))
                    && self.tonality.chord != Some(ChordClass::None)
            }
            (last, NoteEvent::Root(to)) => {
                (fresh || matches!(last, LastNoteEvent::Beat | LastNoteEvent::Click)) && self.tonality.reaches(to)
            }
            (_, NoteEvent::Velocity(bin)) => self.velocity != Some(bin) && self.highest() != Some(127),
            (last, NoteEvent::Shift(steps)) => last != LastNoteEvent::Shift && u64::from(steps) <= self.room(),
        }
    }

    pub(crate) fn push(&mut self, id: u32) {
        if !self.accepts(id) {
            return;
        }
        let Some(event) = self.layout.event(id) else { return };
        self.last = match event {
            NoteEvent::Eos => LastNoteEvent::End,
            NoteEvent::Style(_) => {
                self.style = Some(id);
                LastNoteEvent::Begin
            }
            NoteEvent::Tempo(_) => {
                self.tempo = Some(id);
                self.last
            }
            // A sequence begins on its first click.
            NoteEvent::Bar | NoteEvent::Beat if self.last == LastNoteEvent::Begin => {
                self.time.lift();
                LastNoteEvent::Beat
            }
            NoteEvent::Bar | NoteEvent::Beat => LastNoteEvent::Click,
            NoteEvent::Root(_) => LastNoteEvent::Root,
            NoteEvent::NoChord | NoteEvent::Quality(_) => {
                self.time.lift();
                LastNoteEvent::Chord
            }
            NoteEvent::Velocity(bin) => {
                self.velocity = Some(bin);
                LastNoteEvent::Velocity(self.highest())
            }
            NoteEvent::Pitch(above) => {
                self.fell += 1;
                LastNoteEvent::Pitch(self.tonality.pitch(above).unwrap_or(0))
            }
            NoteEvent::Duration(place) => {
                let LastNoteEvent::Pitch(pitch) = self.last else { return };
                self.ends[usize::from(pitch)] = self.time.now + u64::from(lengths::steps(place));
                LastNoteEvent::Note(pitch)
            }
            NoteEvent::Shift(steps) => {
                self.time.pass(steps);
                self.fell = 0;
                match self.last {
                    LastNoteEvent::Click if steps == LONGEST_SHIFT => LastNoteEvent::Click,
                    LastNoteEvent::Click => {
                        self.time.lift();
                        LastNoteEvent::Beat
                    }
                    _ if steps == LONGEST_SHIFT => LastNoteEvent::FullShift,
                    _ => LastNoteEvent::Shift,
                }
            }
            NoteEvent::Pad | NoteEvent::Bos | NoteEvent::Mask => self.last,
        };
        self.tonality.push(event);
    }

    /// The ids that set a chord from here.
    pub(crate) fn chord_ids(&self, class: ChordClass) -> Vec<u32> {
        self.tonality.events(class).into_iter().map(|event| self.layout.id(event)).collect()
    }

    pub(crate) fn chord(&self) -> Option<ChordClass> {
        self.tonality.chord
    }

    /// The shift that ends at the horizon, and the longer ones, which would pass it; `None` while none would.
    pub(crate) fn cut_shifts(&self) -> Option<(u32, RangeInclusive<u32>)> {
        let shift = |steps| self.layout.id(NoteEvent::Shift(steps));
        self.time.shift_to_horizon().map(|steps| (shift(steps), shift(steps + 1)..=shift(LONGEST_SHIFT)))
    }

    /// The ids of the time up to a click at a moment, which follow it.
    pub(crate) fn approach(&self, at: &ChordAt) -> Vec<u32> {
        let steps = u32::try_from(self.time.until(at)).unwrap_or(u32::MAX);
        shifts_to_click(steps).map(|steps| self.layout.id(NoteEvent::Shift(steps))).collect()
    }

    /// The style, the tempo and the chord in force, as the opening of a sequence that continues from this state.
    pub(crate) fn opening(&self) -> Vec<u32> {
        let chord = self.tonality.chord.map_or_else(Vec::new, |class| self.tonality.anew().events(class));
        self.style.into_iter().chain(self.tempo).chain(chord.into_iter().map(|event| self.layout.id(event))).collect()
    }

    pub(crate) fn word(&self, _: u32) -> u64 {
        self.time.now / WORD
    }

    /// Words are split wherever they can be.
    pub(crate) fn has_tail(&self) -> bool {
        false
    }

    pub(crate) fn begins_something(&self, id: u32) -> bool {
        matches!(self.layout.event(id), Some(NoteEvent::Pitch(_)))
    }

    pub(crate) fn shifts(&self, id: u32) -> bool {
        matches!(self.layout.event(id), Some(NoteEvent::Shift(_)))
    }

    pub(crate) fn sounds(&self) -> bool {
        self.sounding(self.time.now) > 0
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
            LastNoteEvent::Note(pitch) | LastNoteEvent::Pitch(pitch) => Some(pitch),
            LastNoteEvent::Velocity(above) => above,
            _ => None,
        }
    }

    fn is_free(&self, pitch: u8) -> bool {
        self.highest().is_none_or(|highest| pitch > highest)
    }

    /// The steps by which time may advance; see [`Timeline::room`].
    fn room(&self) -> u64 {
        let stuck = self.is_full() || self.highest().is_some_and(|highest| highest >= *PIANO.end());
        self.time.room(stuck)
    }
}
