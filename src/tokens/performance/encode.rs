//! A score into performance ids.

use crate::harmony::ChordAt;
use crate::midi::{Clock, Note, Pedal, Score, Track};
use crate::tokens::chords;

use super::{DAY, Event, LONGEST_SHIFT, bin, step};

/// The channel (0-based) of General MIDI drums.
const DRUMS: u8 = 9;

/// A key held from `start` up to `end`, in steps.
#[derive(Debug, Clone, Copy)]
struct Held {
    start: u32,
    end: u32,
    pitch: u8,
    bin: u8,
}

/// The ids of a score over these chords, without BOS and EOS.
pub(super) fn encode(score: &Score, chords: &[ChordAt]) -> Vec<u32> {
    let held = held(score);
    let changes = chords::changes(chords, |chord| step(chord.seconds));

    // One number an event, in the order of the encoding: step, then chord, off or on, then what.
    const CHORD: u64 = 0 << 12;
    const OFF: u64 = 1 << 12;
    const ON: u64 = 2 << 12;
    let at = |step: u32| u64::from(step) << 16;
    let mut events: Vec<u64> = Vec::with_capacity(2 * held.len() + changes.len());
    events.extend(changes.iter().map(|&(step, place)| at(step) | CHORD | u64::from(place)));
    for note in &held {
        events.push(at(note.start) | ON | u64::from(note.pitch) << 5 | u64::from(note.bin));
        events.push(at(note.end) | OFF | u64::from(note.pitch) << 5);
    }
    events.sort_unstable();

    let mut ids = Vec::with_capacity(2 * events.len());
    let mut now = 0;
    let mut loudness = None;
    for event in events {
        let (then, what) = ((event >> 16) as u32, event & 0xfff);
        let gap = then - now;
        ids.extend(std::iter::repeat_n(Event::Shift(LONGEST_SHIFT).id(), (gap / LONGEST_SHIFT) as usize));
        if gap % LONGEST_SHIFT > 0 {
            ids.push(Event::Shift(gap % LONGEST_SHIFT).id());
        }
        now = then;
        let pitch = (what >> 5) as u8;
        match event & 0xf000 {
            CHORD => ids.push(Event::Chord(what as u32).id()),
            OFF => ids.push(Event::Off(pitch).id()),
            _ => {
                let bin = (what & 31) as u8;
                if loudness != Some(bin) {
                    ids.push(Event::Velocity(bin).id());
                    loudness = Some(bin);
                }
                ids.push(Event::On(pitch).id());
            }
        }
    }
    ids
}

/// The keys of all pitched tracks on the grid, by start: a pitch is held once at a time (a new onset ends the old),
/// for a step at least. Of onsets of one pitch on one step the loudest and the longest counts.
fn held(score: &Score) -> Vec<Held> {
    let mut held = on_grid(score);
    held.sort_unstable_by_key(|note| u64::from(note.start) << 7 | u64::from(note.pitch));
    let mut latest = [usize::MAX; 128];
    let mut kept = 0;
    for i in 0..held.len() {
        let note = held[i];
        let last = &mut latest[usize::from(note.pitch)];
        if let Some(before) = held[..kept].get_mut(*last) {
            if before.start == note.start {
                before.end = before.end.max(note.end);
                before.bin = before.bin.max(note.bin);
                continue;
            }
            before.end = before.end.min(note.start);
        }
        *last = kept;
        held[kept] = note;
        kept += 1;
    }
    held.truncate(kept);
    held
}

fn on_grid(score: &Score) -> Vec<Held> {
    let clock = Clock::new(score);
    let mut held = Vec::with_capacity(score.len());
    for track in score.tracks.iter().filter(|track| track.channel != DRUMS) {
        for note in track.notes.iter().filter(|note| note.pitch < 128) {
            let Some(start) = step(clock.seconds(note.start)) else { continue };
            let end = step(clock.seconds(release(track, note))).unwrap_or(DAY).max(start + 1);
            held.push(Held { start, end, pitch: note.pitch, bin: bin(note.velocity) });
        }
    }
    held
}

/// The tick at which a note falls silent: where its key goes up, or the pedal that is down at that moment.
///
/// A key that goes up in the very tick in which the pedal goes down is not caught by it: in engraved music the pedal
/// changes with the harmony, and the old chord must not sound into the new.
fn release(track: &Track, note: &Note) -> u32 {
    let pedal = track.pedals.partition_point(|pedal| pedal.end <= note.end);
    match track.pedals.get(pedal) {
        Some(&Pedal { start, end }) if start < note.end => end,
        _ => note.end,
    }
}
