//! Notes in steps of 10 ms, shared by the encodings that count time in seconds.

use crate::harmony::ChordAt;
use crate::midi::{Clock, Note, Pedal, Score, Track};

/// Steps in a second.
pub(super) const RATE: f64 = 100.0;
/// The longest single time shift, in steps.
pub(super) const LONGEST_SHIFT: u32 = 100;
/// The longest piece, one day in steps, so that a broken file cannot make endless silence.
pub(super) const DAY: u32 = 24 * 60 * 60 * RATE as u32;

/// A note from `start` up to `end`, in steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimedNote {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) pitch: u8,
    /// The velocity bin, 0–31.
    pub(super) bin: u8,
}

/// The velocity bin (0–31) of a MIDI velocity.
pub(super) fn bin(velocity: u8) -> u8 {
    velocity.min(127) >> 2
}

/// The MIDI velocity in the middle of a bin.
pub(super) fn velocity(bin: u8) -> u8 {
    (bin << 2) + 2
}

/// The step nearest to a moment; `None` from a day on.
pub(super) fn step(seconds: f64) -> Option<u32> {
    let steps = (seconds * RATE).round();
    (steps < f64::from(DAY)).then_some(steps as u32) // a negative moment becomes 0
}

/// The time shifts that let `steps` steps pass, the longest first.
pub(super) fn shifts(steps: u32) -> impl Iterator<Item = u32> {
    let rest = steps % LONGEST_SHIFT;
    std::iter::repeat_n(LONGEST_SHIFT, (steps / LONGEST_SHIFT) as usize).chain((rest > 0).then_some(rest))
}

/// The time shifts up to a click (a bar or a beat) that is `steps` ahead. The first that is not a [`LONGEST_SHIFT`] is the last, so
/// that they are told from the time after the click; a time that is a multiple of it ends a step early.
pub(super) fn shifts_to_click(steps: u32) -> impl Iterator<Item = u32> {
    shifts(steps - u32::from(steps > 0 && steps.is_multiple_of(LONGEST_SHIFT)))
}

/// A click whose token has been read while its moment is still ahead: the time shifts of [`shifts_to_click`] lead there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnnouncedClick<T>(Option<T>);

impl<T> AnnouncedClick<T> {
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn announce(&mut self, click: T) {
        self.0 = Some(click);
    }

    /// The click that is ahead.
    pub(crate) fn ahead(&mut self) -> Option<&mut T> {
        self.0.as_mut()
    }

    /// The click that is reached before a token, a time shift of `shift` steps or another (`None`): any other token happens
    /// at the click.
    pub(crate) fn reached_before(&mut self, shift: Option<u32>) -> Option<T> {
        self.0.take_if(|_| shift.is_none())
    }

    /// The click that is reached with a token, by the last time shift before it.
    pub(crate) fn reached_after(&mut self, shift: Option<u32>) -> Option<T> {
        self.0.take_if(|_| shift.is_some_and(|steps| steps < LONGEST_SHIFT))
    }
}

/// The notes of all pitched tracks by start, then pitch. A pitch sounds once at a time (a new onset ends the old), at
/// least one step long; of onsets of one pitch on one step the loudest and the longest is used.
pub(super) fn timed_notes(score: &Score) -> Vec<TimedNote> {
    let mut notes = on_grid(score);
    notes.sort_unstable_by_key(|note| u64::from(note.start) << 7 | u64::from(note.pitch));
    let mut latest = [usize::MAX; 128];
    let mut kept = 0;
    for i in 0..notes.len() {
        let note = notes[i];
        let last = &mut latest[usize::from(note.pitch)];
        if let Some(before) = notes[..kept].get_mut(*last) {
            if before.start == note.start {
                before.end = before.end.max(note.end);
                before.bin = before.bin.max(note.bin);
                continue;
            }
            before.end = before.end.min(note.start);
        }
        *last = kept;
        notes[kept] = note;
        kept += 1;
    }
    notes.truncate(kept);
    notes
}

fn on_grid(score: &Score) -> Vec<TimedNote> {
    let clock = Clock::new(score);
    let mut notes = Vec::with_capacity(score.len());
    for track in score.pitched() {
        for note in track.notes.iter().filter(|note| note.pitch < 128) {
            let Some(start) = step(clock.seconds(note.start)) else { continue };
            let end = step(clock.seconds(release(track, note))).unwrap_or(DAY).max(start + 1);
            notes.push(TimedNote { start, end, pitch: note.pitch, bin: bin(note.velocity) });
        }
    }
    notes
}

/// The tick at which a note falls silent: at its end, or at the end of the pedal that is down there.
///
/// A note that ends in the tick in which the pedal goes down is not prolonged: in engraved music the pedal changes with
/// the harmony, and the old chord must not sound into the new.
fn release(track: &Track, note: &Note) -> u32 {
    let pedal = track.pedals.partition_point(|pedal| pedal.end <= note.end);
    match track.pedals.get(pedal) {
        Some(&Pedal { start, end }) if start < note.end => end,
        _ => note.end,
    }
}

/// The current time of a sequence, and the time that it may not pass.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    /// Steps since the start.
    pub(super) now: u64,
    horizon: Option<u64>,
}

impl Timeline {
    pub(super) fn pass(&mut self, steps: u32) {
        self.now += u64::from(steps);
    }

    pub(super) fn set_horizon(&mut self, at: Option<&ChordAt>) {
        self.horizon = at.map(steps);
    }

    /// Removes a horizon that is reached.
    pub(super) fn lift(&mut self) {
        self.horizon = self.horizon.filter(|&horizon| horizon > self.now);
    }

    pub(super) fn is_horizon(&self, step: u64) -> bool {
        self.horizon == Some(step)
    }

    pub(super) fn reached(&self, at: &ChordAt) -> bool {
        self.now >= steps(at)
    }

    /// The steps up to a moment.
    pub(super) fn until(&self, at: &ChordAt) -> u64 {
        steps(at).saturating_sub(self.now)
    }

    pub(super) fn seconds(&self) -> f64 {
        self.now as f64 / RATE
    }

    /// The steps up to the horizon, where a shift has as many.
    pub(super) fn shift_to_horizon(&self) -> Option<u32> {
        let left = u32::try_from(self.horizon?.checked_sub(self.now)?).ok()?;
        (1..=LONGEST_SHIFT).contains(&left).then_some(left)
    }

    /// The steps by which time may advance: 0 at the horizon, until the chord due there is set; only when no other
    /// token is possible (`stuck`) does time pass it.
    pub(super) fn room(&self, stuck: bool) -> u64 {
        match self.horizon.map(|horizon| horizon.saturating_sub(self.now)) {
            Some(left) if left > 0 || !stuck => left,
            _ => u64::MAX,
        }
    }
}

fn steps(at: &ChordAt) -> u64 {
    (at.seconds * RATE).round() as u64
}
