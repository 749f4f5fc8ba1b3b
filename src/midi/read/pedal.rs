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
fn spans(events: &[Event], last: u32) -> (Vec<Pedal>, Vec<(usize, usize)>) {
    let (mut spans, mut pressed) = (Vec::new(), Vec::new());
    let mut begun: Option<u32> = None;
    let up = Event { tick: last, track: 0, down: false };
    for event in events.iter().chain([&up]) {
        if event.down {
            begun = begun.or(Some(event.tick));
            pressed.push((event.track, spans.len()));
        } else if let Some(start) = begun.take() {
            if event.tick > start {
                spans.push(Pedal { start, end: event.tick });
            } else {
                // Down and up at once: no span, so nobody pressed it.
                while pressed.last().is_some_and(|&(_, span)| span == spans.len()) {
                    pressed.pop();
                }
            }
        }
    }
    (spans, pressed)
}
