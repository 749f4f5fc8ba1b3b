//! Appending scores: one after the other in time.

use std::collections::HashMap;

use crate::midi::state::ChannelState;
use crate::midi::{Event, Key, Marker, Message, Meter, Note, Pedal, Score, Tempo, Track};

/// The finest division that a MIDI file can hold, in ticks a quarter.
const FINEST: u32 = 32_767;

impl Score {
    /// This score followed by another, which keeps its own tempi and metres. The other begins where the last note or
    /// pedal of this one ends, after the rest behind it ([`Score::length`]) if there is one. Tracks of the same name,
    /// port, channel and program are joined, others are added. Controllers, pitch bends and other channel state that
    /// this score leaves behind are reset.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// assert_eq!(score.append(&score).duration(), 2.0);
    /// ```
    #[must_use]
    pub fn append(&self, other: &Self) -> Self {
        let ticks = common_division(self.ticks_per_quarter, other.ticks_per_quarter);
        let mut joiner = Joiner::new(self.resample(ticks));
        joiner.append(&other.resample(ticks));
        joiner.finish()
    }
}

/// A division in which both scores' ticks are exact, if a file can hold it, or else the finer of the two.
fn common_division(a: u32, b: u32) -> u32 {
    let (mut gcd, mut rest) = (a.max(1), b);
    while rest > 0 {
        (gcd, rest) = (rest, gcd % rest);
    }
    (a / gcd).checked_mul(b).filter(|&lcm| lcm <= FINEST).unwrap_or(a.max(b))
}

/// Name, port, channel and program of a track.
type Identity<'a> = (&'a str, u8, u8, u8);

/// Appends many scores of one division in time linear in their notes.
#[derive(Debug)]
pub(super) struct Joiner {
    score: Score,
    end: u32,
    /// Index of a track by name, port, channel, program, and its place among the tracks that share these.
    tracks: HashMap<(String, u8, u8, u8, usize), usize>,
    /// The channel state at the end.
    state: ChannelState,
    /// Index of the first event of the last score, by track (`None`: the score's own events).
    tails: Vec<(Option<usize>, usize)>,
}

impl Joiner {
    pub(super) fn new(score: Score) -> Self {
        let mut joiner = Self {
            score: Score::new(score.ticks_per_quarter),
            end: 0,
            tracks: HashMap::new(),
            state: ChannelState::default(),
            tails: Vec::new(),
        };
        joiner.append_tracks(&score);
        joiner.end = score.close();
        joiner.score = Score { tracks: joiner.score.tracks, ..score };
        joiner
    }

    pub(super) fn append(&mut self, other: &Score) {
        self.append_maps(other);
        let at = self.end;
        // Events after the last note of this score would affect the other.
        for (track, begin) in std::mem::take(&mut self.tails) {
            let events = track.map_or(&mut self.score.events, |t| &mut self.score.tracks[t].events);
            events[begin..].iter_mut().rev().take_while(|e| e.tick > at).for_each(|e| {
                e.tick = at;
                // A pedal pressed after the last note does not hold the notes of the other score.
                if let Message::Controller { number: 64, value } = &mut e.message {
                    *value = 0;
                }
            });
        }
        self.reset_channels(other);
        self.append_tracks(other);
        self.score.repairs.extend(&other.repairs);
        self.end = later(other.close(), at);
        self.score.length = if other.length > 0 { self.end } else { 0 };
    }

    /// Resets the channels to their initial state where the other score begins.
    fn reset_channels(&mut self, other: &Score) {
        let mut first = ChannelState::default();
        channel_events(other).iter().take_while(|e| e.tick == 0).for_each(|e| first.set(e));
        let used = |port, channel| other.tracks.iter().any(|t| (t.port, t.channel) == (port, channel));
        let resets = self.state.resets(self.end, |key| first.sets(key) || !used(key.0, key.1));
        resets.iter().for_each(|e| self.state.set(e));
        self.score.events.extend(resets);
    }

    fn append_tracks(&mut self, other: &Score) {
        let at = self.end;
        channel_events(other).iter().for_each(|e| self.state.set(e));
        let moved = |events: &[Event]| -> Vec<Event> { events.iter().map(|e| e.at(later(e.tick, at))).collect() };
        self.tails.push((None, self.score.events.len()));
        self.score.events.extend(moved(&other.events));
        let mut seen: HashMap<Identity<'_>, usize> = HashMap::new();
        for track in &other.tracks {
            let place = seen.entry((&track.name, track.port, track.channel, track.program)).or_default();
            let key = (track.name.clone(), track.port, track.channel, track.program, *place);
            *place += 1;
            let tracks = &mut self.score.tracks;
            let index = *self.tracks.entry(key).or_insert_with(|| {
                let &Track { port, channel, program, .. } = track;
                tracks.push(Track { name: track.name.clone(), port, channel, program, ..Track::default() });
                tracks.len() - 1
            });
            let own = &mut tracks[index];
            own.notes.extend(track.notes.iter().map(|n| later_note(*n, at)));
            own.pedals.extend(track.pedals.iter().map(|p| Pedal { start: later(p.start, at), end: later(p.end, at) }));
            self.tails.push((Some(index), own.events.len()));
            own.events.extend(moved(&track.events));
        }
    }

    /// The last tick at which anything happens.
    pub(super) fn last_tick(&self) -> u32 {
        let score = &self.score;
        let lasts = [
            score.tempos.last().map(|t| t.tick),
            score.meters.last().map(|m| m.tick),
            score.keys.last().map(|k| k.tick),
            score.markers.last().map(|m| m.tick),
        ];
        lasts.into_iter().flatten().fold(self.end, u32::max)
    }

    pub(super) fn finish(self) -> Score {
        self.score
    }

    /// Tempi, metres, keys and markers: those of this score from its end on are dropped for those of the other.
    fn append_maps(&mut self, other: &Score) {
        let (score, at) = (&mut self.score, self.end);
        score.tempos.truncate(score.tempos.partition_point(|t| t.tick < at));
        score.meters.truncate(score.meters.partition_point(|m| m.tick < at));
        score.keys.truncate(score.keys.partition_point(|k| k.tick < at));
        score.markers.truncate(score.markers.partition_point(|m| m.tick < at));
        let begins = |tick: Option<u32>| tick == Some(0);
        if !score.tempos.is_empty() && !begins(other.tempos.first().map(|t| t.tick)) {
            score.tempos.push(Tempo { tick: at, ..Tempo::DEFAULT });
        }
        // The bars of the other begin with it, wherever this one ended.
        let metres = !score.meters.is_empty() || !other.meters.is_empty();
        if metres && at > 0 && !begins(other.meters.first().map(|m| m.tick)) {
            score.meters.push(Meter { tick: at, ..Meter::DEFAULT });
        }
        score.tempos.extend(other.tempos.iter().map(|t| Tempo { tick: later(t.tick, at), ..*t }));
        score.meters.extend(other.meters.iter().map(|m| Meter { tick: later(m.tick, at), ..*m }));
        score.keys.extend(other.keys.iter().map(|k| Key { tick: later(k.tick, at), ..*k }));
        score.markers.extend(other.markers.iter().map(|m| Marker { tick: later(m.tick, at), text: m.text.clone() }));
    }
}

/// The channel messages of a score other than notes and pedal, by tick.
fn channel_events(score: &Score) -> Vec<Event> {
    let own = score
        .tracks
        .iter()
        .flat_map(|t| t.events.iter().map(|e| Event { port: t.port, channel: t.channel, ..e.clone() }));
    let all = score.events.iter().cloned().chain(own);
    let mut events: Vec<Event> = all.filter(|e| e.message.is_channel()).collect();
    events.sort_by_key(|e| e.tick);
    events
}

fn later(tick: u32, by: u32) -> u32 {
    tick.saturating_add(by)
}

fn later_note(note: Note, by: u32) -> Note {
    let start = later(note.start, by).min(u32::MAX - 1);
    Note { start, end: later(note.end, by).max(start + 1), ..note }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::Message;

    fn score(name: &str, ticks: u32, notes: &[(u32, u32)]) -> Score {
        let note = |&(start, end): &(u32, u32)| Note { start, pitch: 60, end, velocity: 80 };
        let mut score = Score::new(ticks);
        let notes = notes.iter().map(note).collect();
        score.tracks.push(Track { name: name.into(), notes, ..Track::default() });
        score
    }

    #[test]
    fn durations_add_up_whatever_the_ticks_and_tempi() {
        let mut slow = score("a", 96, &[(0, 96), (96, 250)]);
        slow.tempos.push(Tempo::from_bpm(40.0));
        let fast = score("a", 480, &[(240, 960)]);
        for (first, second) in [(&slow, &fast), (&fast, &slow), (&slow, &slow)] {
            let both = first.append(second);
            assert!((both.duration() - first.duration() - second.duration()).abs() < 1e-9);
            assert_eq!(both.tracks.len(), 1);
            assert_eq!(both.len(), first.len() + second.len());
        }
    }

    #[test]
    fn tracks_of_one_name_go_on_and_others_are_added() {
        let mut one = score("a", 480, &[(0, 480)]);
        one.tracks.push(one.tracks[0].clone());
        let both = one.append(&score("b", 480, &[(0, 10)])).append(&one);
        let sizes: Vec<(&str, usize)> = both.tracks.iter().map(|t| (t.name.as_str(), t.notes.len())).collect();
        assert_eq!(sizes, [("a", 2), ("a", 2), ("b", 1)]);
    }

    #[test]
    fn the_bars_of_the_second_begin_with_it() {
        let mut waltz = score("a", 480, &[(0, 1000)]);
        waltz.meters.push(Meter { numerator: 3, ..Meter::DEFAULT });
        let plain = score("a", 480, &[(0, 3840)]);
        assert_eq!(waltz.append(&plain).bars(), [0, 1000, 2920]);
        assert_eq!(plain.append(&waltz).bars(), [0, 1920, 3840]);
    }

    #[test]
    fn what_stands_at_the_end_of_the_first_gives_way() {
        let mut first = score("a", 480, &[(0, 480)]);
        first.markers = vec![Marker { tick: 0, text: "x".into() }, Marker { tick: 480, text: "end".into() }];
        let both = first.append(&first);
        let markers: Vec<(u32, &str)> = both.markers.iter().map(|m| (m.tick, m.text.as_str())).collect();
        assert_eq!(markers, [(0, "x"), (480, "x"), (960, "end")]);
    }

    #[test]
    fn what_a_score_leaves_on_its_channels_is_set_back() {
        let event = |tick, message| Event { tick, port: 0, channel: 0, message };
        let volume = |tick, value| event(tick, Message::Controller { number: 7, value });
        let mut first = score("a", 480, &[(0, 480)]);
        first.tracks[0].events = vec![volume(0, 20), event(100, Message::Bend(50)), event(600, Message::Pressure(9))];
        let plain = first.append(&score("a", 480, &[(0, 480)]));
        assert_eq!(plain.events, [volume(480, 100), event(480, Message::Pressure(0)), event(480, Message::Bend(0))]);
        assert_eq!(plain.tracks[0].events.iter().map(|e| e.tick).collect::<Vec<_>>(), [0, 100, 480]);
        // State that the other score sets itself is not reset, nor are channels that it does not use.
        let twice = first.append(&first);
        assert!(twice.events.iter().all(|e| *e != volume(480, 100)));
        assert_eq!(twice.tracks[0].events.len(), 6);
        let mut elsewhere = score("b", 480, &[(0, 480)]);
        elsewhere.tracks[0].channel = 1;
        assert!(first.append(&elsewhere).events.is_empty());
    }
}
