//! Encodes a score as performance ids.

use crate::harmony::ChordAt;
use crate::midi::Score;
use crate::tokens::chords;
use crate::tokens::timed::{shifts, step, timed_notes};

use super::KeyEvent;

/// The ids of a score over these chords, without BOS and EOS.
pub(super) fn encode(score: &Score, chords: &[ChordAt]) -> Vec<u32> {
    let notes = timed_notes(score);
    let changes = chords::changes(chords, |chord| step(chord.seconds));

    // One number for each event, sorted as the encoding is: step, then chord, note-off or note-on, then its value.
    const CHORD: u64 = 0 << 12;
    const OFF: u64 = 1 << 12;
    const ON: u64 = 2 << 12;
    let at = |step: u32| u64::from(step) << 16;
    let mut events: Vec<u64> = Vec::with_capacity(2 * notes.len() + changes.len());
    events.extend(changes.iter().map(|&(step, place)| at(step) | CHORD | u64::from(place)));
    for note in &notes {
        events.push(at(note.start) | ON | u64::from(note.pitch) << 5 | u64::from(note.bin));
        events.push(at(note.end) | OFF | u64::from(note.pitch) << 5);
    }
    events.sort_unstable();

    let mut ids = Vec::with_capacity(2 * events.len());
    let mut now = 0;
    let mut loudness = None;
    for event in events {
        let (then, what) = ((event >> 16) as u32, event & 0xfff);
        ids.extend(shifts(then - now).map(|steps| KeyEvent::Shift(steps).id()));
        now = then;
        let pitch = (what >> 5) as u8;
        match event & 0xf000 {
            CHORD => ids.push(KeyEvent::Chord(what as u32).id()),
            OFF => ids.push(KeyEvent::Off(pitch).id()),
            _ => {
                let bin = (what & 31) as u8;
                if loudness != Some(bin) {
                    ids.push(KeyEvent::Velocity(bin).id());
                    loudness = Some(bin);
                }
                ids.push(KeyEvent::On(pitch).id());
            }
        }
    }
    ids
}
