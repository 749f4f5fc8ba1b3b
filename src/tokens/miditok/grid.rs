//! A score on the grid of a vocabulary: MidiTok's preprocessing, in its order and with its roundings.
//!
//! 1. Metres that the vocabulary lacks are left out; the shortest beat of those that stay decides the ticks.
//! 2. Onsets and lengths are rounded to ticks on their own, half away from zero, a length to one tick at least; metre
//!    changes are truncated, then put off to the next bar line.
//! 3. Where a position has several ticks, onsets are rounded to the positions of their section, half to even. (MidiTok
//!    forgets this when the metre that asked for the finer ticks was itself left out, and says a position twice.)
//! 4. Pitches out of range go; velocities, lengths and tempi become the nearest bin.

use crate::midi::{Meter, Note, Score, Track};

use super::token::DRUMS;
use super::{BeatScheme, MidiTok};

/// A piece is cut after this many quarters without an onset (a day at 120 beats per minute), so that a broken file
/// cannot make endless silence.
const LONGEST: u32 = 24 * 60 * 120;

/// Ticks in a beat of a metre, by its denominator.
pub(super) fn ticks_per_beat(meter: Meter, ticks_per_quarter: u32) -> u32 {
    ticks_per_quarter * 4 / u32::from(meter.denominator)
}

/// Ticks in a bar of a metre.
pub(super) fn ticks_per_bar(meter: Meter, ticks_per_quarter: u32) -> u32 {
    (ticks_per_beat(meter, ticks_per_quarter) * u32::from(meter.numerator)).max(1)
}

fn same(a: Meter, b: Meter) -> bool {
    (a.numerator, a.denominator) == (b.numerator, b.denominator)
}

/// A note on the grid; the order of the fields is the order of the notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Placed {
    pub(super) voice: u8,
    pub(super) start: u32,
    pub(super) pitch: u8,
    /// A bin.
    pub(super) velocity: u8,
    pub(super) end: u32,
}

/// A score on the grid.
#[derive(Debug, Clone)]
pub(super) struct NoteGrid {
    pub(super) ticks_per_quarter: u32,
    /// The first is at 0.
    pub(super) meters: Vec<Meter>,
    /// (tick, bin)
    pub(super) tempos: Vec<(u32, u16)>,
    /// Sorted, one voice after the other.
    pub(super) notes: Vec<Placed>,
}

impl NoteGrid {
    pub(super) fn new(miditok: &MidiTok, score: &Score) -> Self {
        let Rescaled { ticks_per_quarter, scale, meters } = rescaled(miditok, score);
        let meters = at_bar_lines(meters, ticks_per_quarter);
        let sections = Sections::new(miditok, &meters, ticks_per_quarter);
        let last = LONGEST.saturating_mul(ticks_per_quarter);
        let mut notes = Vec::with_capacity(score.len());
        for track in &score.tracks {
            let Some(voice) = voice(miditok, track) else { continue };
            notes.extend(track.notes.iter().filter_map(|note| sections.place(miditok, note, voice, scale, last)));
        }
        sort(miditok, &mut notes);
        let tempos = tempos(miditok, score, scale, &sections, last);
        let meters = meters.into_iter().filter(|meter| meter.tick < last).collect();
        Self { ticks_per_quarter, meters, tempos, notes }
    }
}

/// The voice of a track; `None` when the vocabulary does not have it.
fn voice(miditok: &MidiTok, track: &Track) -> Option<u8> {
    let config = &miditok.config;
    match (track.channel == 9, config.use_programs) {
        (true, programs) => (programs || config.use_pitchdrum_tokens).then_some(DRUMS),
        (false, true) => Some(track.program.min(127)),
        (false, false) => Some(0),
    }
}

struct Rescaled {
    ticks_per_quarter: u32,
    scale: f64,
    /// Not yet at bar lines.
    meters: Vec<Meter>,
}

fn rescaled(miditok: &MidiTok, score: &Score) -> Rescaled {
    let config = &miditok.config;
    let mut meters: Vec<Meter> = Vec::new();
    if config.use_time_signatures {
        meters.extend(
            score.meters.iter().filter(|m| config.time_signatures.contains(&(m.numerator, m.denominator))).copied(),
        );
    }
    if meters.first().is_none_or(|meter| meter.tick != 0) {
        meters.insert(0, Meter { tick: 0, numerator: 4, denominator: 4 });
    }
    // A 2/2 alone makes a quarter of 4 ticks: its beat has the 8 positions.
    let shortest = meters.iter().map(|m| u32::from(m.denominator)).max().unwrap_or(4);
    let ticks_per_quarter = (config.positions() * shortest / 4).max(1);
    let scale = f64::from(ticks_per_quarter) / f64::from(score.ticks_per_quarter.max(1));
    for meter in &mut meters {
        meter.tick = (f64::from(meter.tick) * scale) as u32;
    }
    Rescaled { ticks_per_quarter, scale, meters }
}

/// Drops metres that change nothing and moves the others to the next bar line; of several at one bar line the last is
/// used.
fn at_bar_lines(given: Vec<Meter>, ticks_per_quarter: u32) -> Vec<Meter> {
    let mut meters: Vec<Meter> = Vec::with_capacity(given.len());
    for mut meter in given {
        if let Some(&before) = meters.last() {
            if same(meter, before) {
                continue;
            }
            let bar = ticks_per_bar(before, ticks_per_quarter);
            let bars = meter.tick.saturating_sub(before.tick).div_ceil(bar);
            meter.tick = before.tick.saturating_add(bars.saturating_mul(bar));
            if meter.tick == before.tick {
                meters.pop();
                if meters.last().is_some_and(|&earlier| same(earlier, meter)) {
                    continue;
                }
            }
        }
        meters.push(meter);
    }
    meters
}

/// Where the ticks of a beat change.
struct Sections {
    /// (first tick, ticks a beat), the first at 0.
    starts: Vec<(u32, u32)>,
    positions: u32,
}

impl Sections {
    fn new(miditok: &MidiTok, meters: &[Meter], ticks_per_quarter: u32) -> Self {
        let mut starts: Vec<(u32, u32)> = Vec::new();
        for &meter in meters {
            let beat = ticks_per_beat(meter, ticks_per_quarter);
            if starts.last().is_none_or(|last| last.1 != beat) {
                starts.push((meter.tick, beat));
            }
        }
        Self { starts, positions: miditok.config.positions() }
    }

    /// The section of a tick: its first tick and its ticks a beat.
    fn at(&self, tick: u32) -> (u32, u32) {
        self.starts[self.starts.partition_point(|&(start, _)| start <= tick).max(1) - 1]
    }

    /// The nearest position.
    fn round(&self, tick: u32) -> u32 {
        let (start, ticks_per_beat) = self.at(tick);
        let step = ticks_per_beat / self.positions;
        if step <= 1 {
            return tick;
        }
        start + (f64::from(tick - start) / f64::from(step)).round_ties_even() as u32 * step
    }

    /// `None` for a note that is not in the vocabulary, or that begins at `last` or later.
    fn place(&self, miditok: &MidiTok, note: &Note, voice: u8, scale: f64, last: u32) -> Option<Placed> {
        let config = &miditok.config;
        let drum = voice == DRUMS && config.use_pitchdrum_tokens;
        let (low, high) = if drum { config.drums_pitch_range } else { config.pitch_range };
        if !(low..=high).contains(&note.pitch) {
            return None;
        }
        let rounded = |ticks: u32| (f64::from(ticks) * scale).round() as u32;
        let onset = Some(rounded(note.start)).filter(|&onset| onset < last)?;
        let length = rounded(note.end.saturating_sub(note.start)).clamp(1, last);
        let start = self.round(onset);
        let (_, ticks_per_beat) = self.at(start);
        let end = if miditok.style == BeatScheme::MidiLike {
            let end = self.round(onset.saturating_add(length));
            if end > start { end } else { start + (ticks_per_beat / self.positions).max(1) }
        } else {
            let length = miditok.lengths.nearest(length, ticks_per_beat);
            start.saturating_add(miditok.lengths.ticks(length, ticks_per_beat))
        };
        let velocity = if config.use_velocities { miditok.velocity_bin(note.velocity) } else { 0 };
        Some(Placed { voice, start, pitch: note.pitch, velocity, end })
    }
}

fn sort(miditok: &MidiTok, notes: &mut Vec<Placed>) {
    if miditok.config.remove_duplicated_notes {
        notes.sort_unstable_by_key(|n| (n.voice, n.start, n.pitch, n.end, n.velocity));
        notes.dedup_by_key(|n| (n.voice, n.start, n.pitch));
    }
    notes.sort_unstable();
    if miditok.style == BeatScheme::MidiLike {
        first_in_first_out(notes);
        notes.sort_unstable();
    }
}

/// Reassigns the ends of the notes of one voice and pitch, the earliest to the note that began first. Leaves the notes
/// sorted by pitch.
fn first_in_first_out(notes: &mut [Placed]) {
    // Stable: by start, velocity, end within a pitch.
    notes.sort_by_key(|note| (note.voice, note.pitch));
    for key in notes.chunk_by_mut(|a, b| (a.voice, a.pitch) == (b.voice, b.pitch)) {
        let mut ends: Vec<u32> = key.iter().map(|note| note.end).collect();
        ends.sort_unstable();
        for (note, end) in key.iter_mut().zip(ends) {
            note.end = end;
        }
    }
}

/// The tempo bins by tick: of several at one tick the last is used, and there is one at 0.
fn tempos(miditok: &MidiTok, score: &Score, scale: f64, sections: &Sections, last: u32) -> Vec<(u32, u16)> {
    if !miditok.config.use_tempos {
        return Vec::new();
    }
    let mut tempos: Vec<(u32, u16)> = Vec::with_capacity(score.tempos.len());
    for tempo in &score.tempos {
        let tick = (f64::from(tempo.tick) * scale).round() as u32;
        if tick >= last {
            break;
        }
        let tick = sections.round(tick);
        if tempos.last().is_some_and(|last| last.0 == tick) {
            tempos.pop();
        }
        tempos.push((tick, miditok.tempo_bin(f64::from(tempo.micros_per_quarter))));
    }
    if tempos.first().is_none_or(|first| first.0 != 0) {
        tempos.insert(0, (0, miditok.default_tempo()));
    }
    tempos
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(tick: u32, numerator: u8, denominator: u8) -> Meter {
        Meter { tick, numerator, denominator }
    }

    #[test]
    fn a_meter_waits_for_the_bar_line() {
        let given = vec![meter(0, 4, 4), meter(33, 3, 4), meter(40, 3, 4), meter(70, 2, 4)];
        let expected = vec![meter(0, 4, 4), meter(64, 3, 4), meter(88, 2, 4)];
        assert_eq!(at_bar_lines(given, 8), expected);
    }

    #[test]
    fn of_meters_at_one_bar_line_the_last_counts() {
        let given = vec![meter(0, 4, 4), meter(33, 3, 4), meter(40, 2, 4), meter(41, 4, 4), meter(42, 6, 8)];
        assert_eq!(at_bar_lines(given, 8), vec![meter(0, 4, 4), meter(64, 6, 8)]);
        assert_eq!(at_bar_lines(vec![meter(0, 4, 4), meter(0, 6, 8)], 8), vec![meter(0, 6, 8)]);
    }

    #[test]
    fn overlapping_notes_of_a_pitch_end_in_the_order_they_began() {
        let note = |start, pitch, end| Placed { voice: 0, start, pitch, velocity: 0, end };
        let mut notes = vec![note(0, 60, 10), note(3, 62, 7), note(5, 60, 7)];
        first_in_first_out(&mut notes);
        assert_eq!(notes, vec![note(0, 60, 7), note(5, 60, 10), note(3, 62, 7)]);
    }
}
