//! Scores one after the other.

use std::collections::HashMap;

use crate::midi::{Key, Marker, Meter, Note, Pedal, Score, Tempo};

/// The finest division a MIDI file can say, in ticks a quarter.
const FINEST: u32 = 32_767;

impl Score {
    /// This score and then the other, with its own tempi and metres. The other begins where the last note or pedal of
    /// this one ends; tracks of the same name, channel and program go on, others are added.
    #[must_use]
    pub fn append(&self, other: &Self) -> Self {
        let ticks = common_division(self.ticks_per_quarter, other.ticks_per_quarter);
        let mut joiner = Joiner::new(self.resample(ticks));
        joiner.append(&other.resample(ticks));
        joiner.finish()
    }
}

/// A division in which both say their ticks exactly, if a file can say it, or else the finer of the two.
fn common_division(a: u32, b: u32) -> u32 {
    let (mut gcd, mut rest) = (a.max(1), b);
    while rest > 0 {
        (gcd, rest) = (rest, gcd % rest);
    }
    (a / gcd).checked_mul(b).filter(|&lcm| lcm <= FINEST).unwrap_or(a.max(b))
}

/// Appends many scores of one division in time linear in their notes.
#[derive(Debug)]
pub(super) struct Joiner {
    score: Score,
    end: u32,
    /// Index of a track by name, channel, program, and its place among the tracks that share these.
    tracks: HashMap<(String, u8, u8, usize), usize>,
}

impl Joiner {
    pub(super) fn new(score: Score) -> Self {
        let end = score.end();
        let mut joiner = Self { score: Score::new(score.ticks_per_quarter), end: 0, tracks: HashMap::new() };
        if end > 0 || score.tracks.iter().any(|t| !t.name.is_empty()) {
            joiner.append(&score);
        }
        joiner.score = Score { tracks: joiner.score.tracks, ..score };
        joiner.end = end;
        joiner
    }

    pub(super) fn append(&mut self, other: &Score) {
        self.append_maps(other);
        let at = self.end;
        let mut seen: HashMap<(&str, u8, u8), usize> = HashMap::new();
        for track in &other.tracks {
            let place = seen.entry((&track.name, track.channel, track.program)).or_default();
            let key = (track.name.clone(), track.channel, track.program, *place);
            *place += 1;
            let tracks = &mut self.score.tracks;
            let index = *self.tracks.entry(key).or_insert_with(|| {
                tracks.push(crate::midi::Track { notes: Vec::new(), pedals: Vec::new(), ..track.clone() });
                tracks.len() - 1
            });
            tracks[index].notes.extend(track.notes.iter().map(|n| later_note(*n, at)));
            tracks[index]
                .pedals
                .extend(track.pedals.iter().map(|p| Pedal { start: later(p.start, at), end: later(p.end, at) }));
        }
        self.end = later(other.end(), at);
    }

    pub(super) fn finish(self) -> Score {
        self.score
    }

    /// Tempi, metres, keys and markers: what this score says from its end on gives way to what the other says.
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

fn later(tick: u32, by: u32) -> u32 {
    tick.saturating_add(by)
}

fn later_note(note: Note, by: u32) -> Note {
    let start = later(note.start, by).min(u32::MAX - 1);
    Note { start, end: later(note.end, by).max(start + 1), ..note }
}
