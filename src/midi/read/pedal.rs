//! The sustain pedal (controller 64) while a file is read.
//!
//! A pedal works on a channel, and files often write it into one track while another plays on the same channel (the
//! left hand pedals for both). So spans are made of a channel's events in all tracks; a track gets those in which it
//! presses the pedal itself and those that prolong one of its notes. That way no track loses its sound when it is
//! taken alone, and a file of many tracks does not multiply its pedal.

use std::collections::BTreeMap;

use crate::midi::{Pedal, Track};

/// The pedal goes down or up.
#[derive(Debug, Clone, Copy)]
struct Event {
    tick: u32,
    track: usize,
    down: bool,
}

/// The pedal events of a file.
#[derive(Debug, Default)]
pub(super) struct Pedals {
    channels: BTreeMap<u8, Vec<Event>>,
}

impl Pedals {
    /// Controller 64 takes `value` at `tick`, written in track `track`.
    pub(super) fn set(&mut self, channel: u8, track: usize, tick: u32, value: u8) {
        self.channels.entry(channel).or_default().push(Event { tick, track, down: value >= 64 });
    }

    /// Gives the tracks their spans. Their notes are sorted by start.
    pub(super) fn hand_out(self, tracks: &mut [Track]) {
        for (channel, mut events) in self.channels {
            events.sort_by_key(|e| e.tick);
            let sounding = tracks.iter().filter(|t| t.channel == channel);
            let last_note = sounding.flat_map(|t| &t.notes).map(|n| n.end).max().unwrap_or(0);
            let last = last_note.max(events.last().map_or(0, |e| e.tick));
            let (spans, mut wanted) = spans(&events, last);
            for (index, track) in tracks.iter().enumerate().filter(|(_, t)| t.channel == channel) {
                for note in &track.notes {
                    let span = spans.partition_point(|s| s.end <= note.end);
                    if spans.get(span).is_some_and(|s| s.start <= note.end) {
                        wanted.push((index, span));
                    }
                }
            }
            wanted.sort_unstable();
            wanted.dedup();
            for (track, span) in wanted {
                tracks[track].pedals.push(spans[span]);
            }
        }
    }
}

/// The spans in which the pedal of a channel is down, and (track, span) wherever a track presses it.
///
/// Tracks may write the same pedal side by side, so what happens at one tick is taken together: it goes up if any track
/// lifts it, and is down after that if any track left it so.
fn spans(events: &[Event], last: u32) -> (Vec<Pedal>, Vec<(usize, usize)>) {
    let (mut spans, mut pressed) = (Vec::new(), Vec::new());
    let mut begun: Option<u32> = None;
    for moment in events.chunk_by(|a, b| a.tick == b.tick) {
        let tick = moment[0].tick;
        if moment.iter().any(|e| !e.down) {
            spans.extend(begun.take().map(|start| Pedal { start, end: tick }));
        }
        for (i, event) in moment.iter().enumerate() {
            let left = moment.get(i + 1).is_none_or(|next| next.track != event.track);
            if event.down && left && tick < last {
                begun = begun.or(Some(tick));
                pressed.push((event.track, spans.len()));
            }
        }
    }
    spans.extend(begun.map(|start| Pedal { start, end: last }));
    (spans, pressed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::Note;

    fn handed_out(events: &[(usize, u32, u8)], tracks: &mut [Track]) -> Vec<Vec<(u32, u32)>> {
        let mut pedals = Pedals::default();
        for &(track, tick, value) in events {
            pedals.set(0, track, tick, value);
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
}
