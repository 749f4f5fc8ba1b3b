//! Matches note-offs to note-ons.
//!
//! Notes of one key and channel that overlap end in the order in which they began, so that two voices on one channel
//! keep their notes. That only works while every note has an end: in a run of overlapping notes with fewer ends than
//! notes, each is cut at the next note of its key instead, and the last at the end of the track.

use std::collections::HashMap;

use crate::midi::{Note, Track};

/// A note in the tracks: the index of its track, and its own there.
type NoteIndex = (u32, u32);

/// Marks a key that is up; otherwise its note is stored.
const UP: NoteIndex = (u32::MAX, 0);
/// Marks a key that is down more than once: its notes are in [`NoteMatching::overlaps`].
const MANY: NoteIndex = (u32::MAX, 1);

/// Overlapping notes of one key.
#[derive(Debug, Default)]
struct Overlap {
    /// The notes that began, oldest first.
    begun: Vec<NoteIndex>,
    /// Ticks of the note-offs.
    ended: Vec<u32>,
}

/// The keys of the sixteen channels of a port while a track chunk is read.
#[derive(Debug)]
pub(super) struct NoteMatching {
    keys: Vec<NoteIndex>,
    /// A bit for each key that was pressed since the last reset.
    used: [u64; 32],
    overlaps: HashMap<u16, Overlap>,
}

impl NoteMatching {
    pub(super) fn new() -> Self {
        Self { keys: vec![UP; 16 * 128], used: [0; 32], overlaps: HashMap::new() }
    }

    /// A key goes down: the note is added to the track, and ends when the key goes up.
    #[inline]
    pub(super) fn press(&mut self, tracks: &mut [Track], channel: u8, track: usize, note: Note) {
        let index = key(channel, note.pitch);
        let notes = &mut tracks[track].notes;
        let place = (track as u32, notes.len() as u32);
        notes.push(note);
        match self.keys[usize::from(index)] {
            UP => {
                self.used[usize::from(index >> 6)] |= 1 << (index & 63);
                self.keys[usize::from(index)] = place;
            }
            MANY => self.overlaps.entry(index).or_default().begun.push(place),
            one => {
                self.overlaps.insert(index, Overlap { begun: vec![one, place], ended: Vec::new() });
                self.keys[usize::from(index)] = MANY;
            }
        }
    }

    /// A key goes up; ignored when it is not down.
    #[inline]
    pub(super) fn release(&mut self, tracks: &mut [Track], channel: u8, pitch: u8, tick: u32) {
        let index = key(channel, pitch);
        match self.keys[usize::from(index)] {
            UP => {}
            MANY => self.release_one(tracks, index, tick),
            place => {
                end(tracks, place, tick);
                self.keys[usize::from(index)] = UP;
            }
        }
    }

    fn release_one(&mut self, tracks: &mut [Track], index: u16, tick: u32) {
        let Some(overlap) = self.overlaps.get_mut(&index) else { return };
        overlap.ended.push(tick);
        if overlap.ended.len() == overlap.begun.len() {
            for (&place, &tick) in overlap.begun.iter().zip(&overlap.ended) {
                end(tracks, place, tick);
            }
            self.overlaps.remove(&index);
            self.keys[usize::from(index)] = UP;
        }
    }

    /// Ends all sounding notes at `last`, on one channel or (`None`) on all. Gives the number of notes without a
    /// note-off.
    pub(super) fn end_all(&mut self, tracks: &mut [Track], channel: Option<u8>, last: u32) -> usize {
        let mut unended = 0;
        if let Some(channel) = channel {
            for pitch in 0..128 {
                unended += self.end_key(tracks, key(channel, pitch), last);
            }
            return unended;
        }
        for (word, keys) in std::mem::take(&mut self.used).into_iter().enumerate() {
            for bit in (0..64).filter(|bit| keys >> bit & 1 == 1) {
                unended += self.end_key(tracks, (word * 64 + bit) as u16, last);
            }
        }
        unended
    }

    fn end_key(&mut self, tracks: &mut [Track], index: u16, last: u32) -> usize {
        match std::mem::replace(&mut self.keys[usize::from(index)], UP) {
            UP => 0,
            MANY => self.overlaps.remove(&index).map_or(0, |overlap| {
                cut_at_next(&overlap, last, tracks);
                overlap.begun.len() - overlap.ended.len()
            }),
            place => {
                end(tracks, place, last);
                1
            }
        }
    }
}

fn key(channel: u8, pitch: u8) -> u16 {
    u16::from(channel & 15) << 7 | u16::from(pitch & 127)
}

/// Sets the end of a note, at least one tick after its start.
fn end(tracks: &mut [Track], (track, note): NoteIndex, tick: u32) {
    let note = &mut tracks[track as usize].notes[note as usize];
    note.end = tick.max(note.start + 1);
}

/// Ends each note at the first later note-off or note-on of its key.
fn cut_at_next(overlap: &Overlap, last: u32, tracks: &mut [Track]) {
    let mut next = last;
    let mut offs = &overlap.ended[..];
    let start = |tracks: &[Track], (track, note): NoteIndex| tracks[track as usize].notes[note as usize].start;
    for (i, &place) in overlap.begun.iter().enumerate().rev() {
        let begun = start(tracks, place);
        let later = overlap.begun.get(i + 1).map(|&n| start(tracks, n)).filter(|&s| s > begun);
        next = later.unwrap_or(next);
        while let [rest @ .., off] = offs
            && *off > begun
        {
            next = next.min(*off);
            offs = rest;
        }
        end(tracks, place, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays presses (`+`) and releases of one key and gives the spans.
    fn spans(events: &[(char, u32)], last: u32) -> Vec<(u32, u32)> {
        let (mut matching, mut tracks) = (NoteMatching::new(), [Track::default()]);
        for &(what, tick) in events {
            match what {
                '+' => {
                    let note = Note { start: tick, pitch: 60, end: tick, velocity: 80 };
                    matching.press(&mut tracks, 3, 0, note);
                }
                '-' => matching.release(&mut tracks, 3, 60, tick),
                _ => {
                    matching.end_all(&mut tracks, Some(3), tick);
                }
            }
        }
        matching.end_all(&mut tracks, None, last);
        tracks[0].notes.iter().map(|n| (n.start, n.end)).collect()
    }

    #[test]
    fn overlapping_notes_end_in_the_order_in_which_they_began() {
        assert_eq!(spans(&[('+', 0), ('+', 10), ('-', 20), ('-', 100)], 200), [(0, 20), (10, 100)]);
    }

    #[test]
    fn a_note_without_an_end_is_cut_at_the_next_of_its_key() {
        assert_eq!(spans(&[('+', 0), ('+', 10), ('-', 20), ('+', 30)], 90), [(0, 10), (10, 20), (30, 90)]);
        assert_eq!(
            spans(&[('+', 0), ('-', 5), ('+', 10), ('+', 10), ('+', 40)], 90),
            [(0, 5), (10, 40), (10, 40), (40, 90)]
        );
    }

    #[test]
    fn a_note_lasts_a_tick_at_least_and_a_stray_end_does_nothing() {
        assert_eq!(spans(&[('-', 3), ('+', 5), ('-', 5), ('-', 6), ('+', 9)], 9), [(5, 6), (9, 10)]);
    }

    #[test]
    fn all_notes_off_ends_what_sounds_and_later_ends_are_of_later_notes() {
        assert_eq!(spans(&[('+', 0), ('!', 5), ('+', 10), ('-', 20), ('-', 30)], 90), [(0, 5), (10, 20)]);
        assert_eq!(spans(&[('+', 0), ('+', 2), ('!', 5), ('!', 7), ('+', 10)], 90), [(0, 2), (2, 5), (10, 90)]);
    }

    #[test]
    fn many_repeated_notes_take_no_more_room() {
        let events: Vec<(char, u32)> = (0..20_000).flat_map(|i| [('+', 2 * i), ('-', 2 * i + 1)]).collect();
        let spans = spans(&events, 50_000);
        assert!(spans.len() == 20_000 && spans.iter().all(|(start, end)| end - start == 1));
    }
}
