//! Decodes performance ids to a score.

use crate::harmony::Chord;
use crate::midi::{Marker, Note, Score, Tempo, Track};
use crate::tokens::chords;
use crate::tokens::timed::velocity;

use super::KeyEvent;

/// At this resolution and 120 beats per minute a tick is a step of 10 ms.
const TICKS_PER_QUARTER: u32 = 50;
const MICROS_PER_QUARTER: u32 = 500_000;
/// The velocity bin of notes before the first velocity token.
const UNSAID: u8 = 16;

/// The score of any ids: one piano track and chord markers, a tick a step.
///
/// A key that goes down while it is held is struck again; one that goes up unheld, or down twice in one instant, is
/// left out; a key released in the instant it was struck is held for one step; keys held at the end are released there.
pub(super) fn decode(ids: impl Iterator<Item = u32>) -> Score {
    let mut score = Score::new(TICKS_PER_QUARTER);
    score.tempos.push(Tempo { tick: 0, micros_per_quarter: MICROS_PER_QUARTER });
    let mut track = Track { name: "Piano".to_string(), ..Track::default() };
    let mut keys = HeldKeys::default();
    let mut now = 0_u32;
    let mut loudness = UNSAID;
    for event in ids.filter_map(KeyEvent::of) {
        match event {
            KeyEvent::Shift(steps) => now = now.saturating_add(steps),
            KeyEvent::Velocity(bin) => loudness = bin,
            KeyEvent::On(pitch) => keys.down(pitch, now, loudness, &mut track.notes),
            KeyEvent::Off(pitch) => keys.up(pitch, now, &mut track.notes),
            KeyEvent::Chord(place) => {
                let Some(class) = chords::class(place) else { continue };
                score.markers.push(Marker { tick: now, text: format!("chord:{}", Chord::of_class(class)) });
            }
            KeyEvent::Pad | KeyEvent::Bos | KeyEvent::Eos | KeyEvent::Mask => {}
        }
    }
    for pitch in 0..128 {
        keys.up(pitch, now, &mut track.notes);
    }
    track.notes.sort_unstable();
    score.tracks.push(track);
    score
}

/// The keyboard: the keys held, since when and how loud, and when each was struck last.
struct HeldKeys {
    held: [Option<(u32, u8)>; 128],
    struck: [Option<u32>; 128],
}

impl Default for HeldKeys {
    fn default() -> Self {
        Self { held: [None; 128], struck: [None; 128] }
    }
}

impl HeldKeys {
    fn down(&mut self, pitch: u8, now: u32, bin: u8, notes: &mut Vec<Note>) {
        if self.struck[usize::from(pitch)] == Some(now) {
            return;
        }
        self.up(pitch, now, notes);
        self.struck[usize::from(pitch)] = Some(now);
        self.held[usize::from(pitch)] = Some((now, bin));
    }

    fn up(&mut self, pitch: u8, now: u32, notes: &mut Vec<Note>) {
        if let Some((start, bin)) = self.held[usize::from(pitch)].take() {
            notes.push(Note { start, pitch, end: now.max(start.saturating_add(1)), velocity: velocity(bin) });
        }
    }
}
