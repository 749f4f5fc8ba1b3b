//! The sustain pedal (controller 64) on reading.
//!
//! A pedal applies to a channel, and files often write it into one track while another plays on the same channel (the
//! left hand's track pedals for both). So the spans are computed from a channel's events in all tracks; a track gets
//! those in which it presses the pedal itself and those that prolong one of its notes. A track taken alone then still
//! has its pedal, and a file of many tracks does not multiply it.

use std::collections::BTreeMap;

use crate::midi::{Note, Pedal, Track};

/// A pedal event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Down,
    Up,
    /// All sound is cut off (controller 120); the pedal stays where it is.
    Cut,
}

/// No track.
const NOBODY: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct PedalEvent {
    tick: u32,
    /// The track with the event; [`NOBODY`] where the channel has no notes in its chunk.
    track: u32,
    what: Move,
}

/// The pedal events of a file, by port and channel.
#[derive(Debug, Default)]
pub(super) struct Pedals {
    channels: BTreeMap<(u8, u8), Vec<PedalEvent>>,
}

impl Pedals {
    /// Adds a pedal event at `tick`, from track `track`.
    pub(super) fn set(&mut self, address: (u8, u8), track: Option<usize>, tick: u32, what: Move) {
        self.channels.entry(address).or_default().push(PedalEvent {
            tick,
            track: track.map_or(NOBODY, |t| t as u32),
            what,
        });
    }

    /// Assigns the spans to the tracks, whose notes are sorted by start.
    pub(super) fn hand_out(self, tracks: &mut [Track]) {
        // A bit for each span of the track.
        let mut wanted = Vec::new();
        for (address, mut events) in self.channels {
            events.sort_by_key(|e| e.tick);
            let here = |(_, t): &(usize, &mut Track)| (t.port, t.channel) == address;
            let ends = tracks.iter().filter(|t| (t.port, t.channel) == address).flat_map(|t| &t.notes).map(|n| n.end);
            let last = ends.max().unwrap_or(0).max(events.last().map_or(0, |e| e.tick));
            let (spans, mut pressed) = spans(&events, last);
            pressed.sort_unstable();
            for (index, track) in tracks.iter_mut().enumerate().filter(here) {
                let index = index as u32;
                let own = pressed.partition_point(|p| p.0 < index)..pressed.partition_point(|p| p.0 <= index);
                wanted.clear();
                wanted.resize(spans.len().div_ceil(64), 0u64);
                pressed[own].iter().for_each(|p| wanted[p.1 / 64] |= 1 << (p.1 % 64));
                prolonging(&spans, &track.notes, &mut wanted);
                track.pedals.reserve(wanted.iter().map(|word| word.count_ones() as usize).sum());
                for (word, &bits) in wanted.iter().enumerate().filter(|w| *w.1 > 0) {
                    track.pedals.extend((0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| spans[word * 64 + bit]));
                }
            }
        }
    }
}

/// Sets the bits of the spans in which a note ends.
fn prolonging(spans: &[Pedal], notes: &[Note], wanted: &mut [u64]) {
    let mut span = 0;
    for note in notes {
        // Note ends are nearly in order: the span is that of the note before, or near it.
        if spans.get(span).is_none_or(|s| s.end <= note.end) || span > 0 && spans[span - 1].end > note.end {
            let near = spans.get(span + 1).is_some_and(|s| s.end > note.end) && spans[span].end <= note.end;
            span = if near { span + 1 } else { spans.partition_point(|s| s.end <= note.end) };
        }
        if spans.get(span).is_some_and(|s| s.start <= note.end) {
            wanted[span / 64] |= 1 << (span % 64);
        }
    }
}

/// The spans in which the pedal of a channel is down, and (track, span) for each track that presses it.
///
/// Tracks may hold the same pedal events side by side, so the events of one tick are combined: the pedal goes up if any
/// track lifts it, and is down afterwards if any track left it down.
fn spans(events: &[PedalEvent], last: u32) -> (Vec<Pedal>, Vec<(u32, usize)>) {
    let (mut spans, mut pressed) = (Vec::new(), Vec::new());
    let (mut begun, mut holder): (Option<u32>, u32) = (None, NOBODY);
    for moment in events.chunk_by(|a, b| a.tick == b.tick) {
        let tick = moment[0].tick;
        let up = moment.iter().any(|e| e.what == Move::Up);
        let cut = moment.iter().any(|e| e.what == Move::Cut);
        if up || cut {
            let held = begun.take().filter(|&start| start < tick);
            spans.extend(held.map(|start| Pedal { start, end: tick }));
            // A pedal that stays down holds the notes that follow.
            if held.is_some() && !up && tick < last {
                begun = Some(tick);
                pressed.push((holder, spans.len()));
            }
        }
        for (i, event) in moment.iter().enumerate() {
            let left = moment.get(i + 1).is_none_or(|next| next.track != event.track);
            if event.what == Move::Down && left && tick < last {
                begun = begun.or(Some(tick));
                holder = event.track;
                pressed.push((holder, spans.len()));
            }
        }
    }
    spans.extend(begun.map(|start| Pedal { start, end: last }));
    (spans, pressed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed_out(events: &[(usize, u32, u8)], tracks: &mut [Track]) -> Vec<Vec<(u32, u32)>> {
        let mut pedals = Pedals::default();
        for &(track, tick, value) in events {
            let what = match value {
                0..64 => Move::Up,
                64..128 => Move::Down,
                _ => Move::Cut,
            };
            pedals.set((0, 0), Some(track), tick, what);
        }
        pedals.hand_out(tracks);
        tracks.iter().map(|t| t.pedals.iter().map(|p| (p.start, p.end)).collect()).collect()
    }

    fn track(notes: &[(u32, u32)]) -> Track {
        let note = |&(start, end): &(u32, u32)| Note { start, pitch: 60, end, velocity: 80 };
        Track { notes: notes.iter().map(note).collect(), ..Track::default() }
    }

    #[test]
    fn a_track_gets_what_it_presses_and_what_prolongs_its_notes() {
        let events = [(0, 0, 127), (0, 100, 0), (0, 100, 127), (0, 200, 0), (0, 300, 64), (0, 301, 63)];
        let mut tracks = [track(&[]), track(&[(0, 50), (90, 200), (150, 301)]), track(&[(100, 120), (130, 140)])];
        let spans = handed_out(&events, &mut tracks);
        assert_eq!(spans, [vec![(0, 100), (100, 200), (300, 301)], vec![(0, 100)], vec![(100, 200)]]);
    }

    #[test]
    fn tracks_that_write_the_same_pedal_agree() {
        let mut events = Vec::new();
        for track in [1, 0] {
            events.extend([(track, 10, 100), (track, 20, 0), (track, 20, 100), (track, 30, 0), (track, 40, 90)]);
        }
        let spans = handed_out(&events, &mut [track(&[(0, 60)]), track(&[])]);
        assert_eq!(spans, [vec![(10, 20), (20, 30), (40, 60)], vec![(10, 20), (20, 30), (40, 60)]]);
    }

    #[test]
    fn a_touch_without_length_is_no_span() {
        let spans = handed_out(&[(0, 10, 127), (0, 10, 0), (0, 20, 127)], &mut [track(&[(0, 20)])]);
        assert_eq!(spans, [vec![]]);
    }

    #[test]
    fn cutting_off_the_sound_leaves_the_pedal_down() {
        let events = [(0, 0, 127), (0, 50, 255), (0, 80, 0), (0, 90, 255)];
        assert_eq!(handed_out(&events, &mut [track(&[(0, 100)])]), [vec![(0, 50), (50, 80)]]);
    }

    #[test]
    fn a_pedal_works_on_its_port_and_channel_alone() {
        let mut pedals = Pedals::default();
        pedals.set((1, 0), Some(1), 0, Move::Down);
        pedals.set((1, 0), None, 90, Move::Up);
        let mut tracks = [track(&[(0, 50)]), Track { port: 1, ..track(&[(0, 50)]) }];
        pedals.hand_out(&mut tracks);
        assert_eq!(tracks[1].pedals, [Pedal { start: 0, end: 90 }]);
        assert!(tracks[0].pedals.is_empty());
    }
}
