//! Which note-off ends which note.
//!
//! Notes of one key and channel that overlap end in the order in which they began, so that two voices on one channel
//! keep their notes. That only works while every note has an end: in a run of overlapping notes with fewer ends than
//! notes, each is cut at the next note of its key instead, and the last at the end of the track.

use crate::midi::Note;

/// A note and the track it belongs to; its end is known once its key went up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Struck {
    pub(super) track: usize,
    pub(super) note: Note,
}

/// One key of one channel since it was last silent.
#[derive(Debug, Default)]
struct Key {
    /// Indices of the notes that began, oldest first.
    begun: Vec<usize>,
    /// Ticks of the note-offs.
    ended: Vec<u32>,
}

/// The keys of all channels while a track is read.
#[derive(Debug)]
pub(super) struct Held {
    keys: Vec<Key>,
    /// Keys that may be down.
    used: Vec<usize>,
    /// All notes of the track so far.
    notes: Vec<Struck>,
}

impl Held {
    pub(super) fn new() -> Self {
        Self { keys: (0..16 * 128).map(|_| Key::default()).collect(), used: Vec::new(), notes: Vec::new() }
    }

    /// A key goes down.
    pub(super) fn press(&mut self, channel: u8, track: usize, tick: u32, pitch: u8, velocity: u8) {
        let index = usize::from(channel) * 128 + usize::from(pitch);
        let key = &mut self.keys[index];
        if key.begun.is_empty() {
            self.used.push(index);
        }
        key.begun.push(self.notes.len());
        self.notes.push(Struck { track, note: Note { start: tick, pitch, end: tick, velocity } });
    }

    /// A key goes up; nothing happens when it is not down.
    pub(super) fn release(&mut self, channel: u8, pitch: u8, tick: u32) {
        let key = &mut self.keys[usize::from(channel) * 128 + usize::from(pitch)];
        if key.begun.is_empty() {
            return;
        }
        key.ended.push(tick);
        if key.ended.len() == key.begun.len() {
            for (note, end) in key.begun.drain(..).zip(key.ended.drain(..)) {
                self.notes[note].note.end = end;
            }
        }
    }

    /// The track ends at `last`: ends what still sounds, and hands over all notes in the order in which they began.
    /// A note lasts a tick at least.
    pub(super) fn close(&mut self, last: u32) -> Vec<Struck> {
        for index in self.used.drain(..) {
            let key = &mut self.keys[index];
            cut_at_next(&key.begun, &key.ended, last, &mut self.notes);
            key.begun.clear();
            key.ended.clear();
        }
        for struck in &mut self.notes {
            struck.note.end = struck.note.end.max(struck.note.start + 1);
        }
        std::mem::take(&mut self.notes)
    }
}

/// Ends each of `begun` at the first later note-off or note-on of its key.
fn cut_at_next(begun: &[usize], ended: &[u32], last: u32, notes: &mut [Struck]) {
    let mut next = last;
    let mut offs = ended;
    for (i, &index) in begun.iter().enumerate().rev() {
        let start = notes[index].note.start;
        let later = begun.get(i + 1).map(|&n| notes[n].note.start).filter(|&s| s > start);
        next = later.unwrap_or(next);
        while let [rest @ .., off] = offs
            && *off > start
        {
            next = next.min(*off);
            offs = rest;
        }
        notes[index].note.end = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays presses (`+`) and releases of one key and gives the spans.
    fn spans(events: &[(char, u32)], last: u32) -> Vec<(u32, u32)> {
        let mut held = Held::new();
        for &(what, tick) in events {
            if what == '+' { held.press(3, 0, tick, 60, 80) } else { held.release(3, 60, tick) }
        }
        held.close(last).iter().map(|s| (s.note.start, s.note.end)).collect()
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
}
