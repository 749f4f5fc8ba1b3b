//! A score as a row of short windows: how much of each pitch class sounds in them, and what the bass is.
//!
//! Windows are beats where the notes keep to the beats of the file, and half seconds where they do not: in a recorded
//! performance the ticks of the file say nothing about the music.

use crate::midi::{Clock, Meter, Score};

/// How much of each pitch class there is.
pub(super) type Chroma = [f32; 12];

/// A stretch of the score in which the harmony is taken to stand still.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// First tick.
    pub(super) start: u32,
    /// How strong a place it begins at.
    pub(super) place: Place,
    /// What sounds.
    pub(super) chroma: Chroma,
    /// What sounds lowest, if it is low.
    pub(super) bass: Chroma,
    /// The lowest pitch that is more than a passing sound, and how much of it there is.
    lowest: Option<(u8, f32)>,
}

/// Where in a bar a window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the bar line.
    Bar,
    /// In the middle of the bar.
    Half,
    /// On another beat.
    Beat,
    /// There are no bars.
    Free,
}

/// No score has more windows; more would come from damaged files only.
const MOST: usize = 1 << 15;

/// A note counts for this many windows: strings of a piano fade, and time must stay linear in the notes.
const REACH: usize = 8;

/// The share of its sound that a note keeps from window to window.
const FADE: f32 = 0.85;

/// Length of windows without a beat, in seconds.
const FREE: f64 = 0.5;

/// Beats are halved above the longer and grouped below the shorter, in seconds.
const SHORTEST: f64 = 0.3;
const LONGEST: f64 = 1.3;

/// The channel of General MIDI's drums.
const DRUMS: u8 = 9;

/// The windows of a score from its start to its last note.
pub(super) fn windows(score: &Score) -> Vec<Window> {
    let clock = Clock::new(score);
    let places = if keeps_time(score) { beats(score, &clock) } else { None };
    let mut windows: Vec<Window> =
        places.unwrap_or_else(|| seconds(score, &clock)).into_iter().map(Window::new).collect();
    let notes = score.tracks.iter().filter(|t| t.channel != DRUMS).flat_map(|t| &t.notes);
    let end = score.end();
    for note in notes {
        let first = windows.partition_point(|w| w.start <= note.start).saturating_sub(1);
        // Loud notes count for more, high ones, which carry the melody, for less.
        let high = (f32::from(note.pitch) - 66.0) / 24.0;
        let mut weight = (0.5 + f32::from(note.velocity) / 254.0) * (1.0 - 0.6 * high.clamp(0.0, 1.0));
        for i in first..windows.len().min(first + REACH) {
            let (begin, until) = (windows[i].start, windows.get(i + 1).map_or(end, |w| w.start));
            if begin >= note.end {
                break;
            }
            let sounds = note.end.min(until).saturating_sub(note.start.max(begin));
            let share = sounds as f32 / until.saturating_sub(begin).max(1) as f32;
            windows[i].add(note.pitch, share * weight, share);
            weight *= FADE;
        }
    }
    for window in &mut windows {
        window.set_bass();
    }
    windows
}

impl Window {
    fn new((start, place): (u32, Place)) -> Self {
        Self { start, place, chroma: [0.0; 12], bass: [0.0; 12], lowest: None }
    }

    fn add(&mut self, pitch: u8, amount: f32, share: f32) {
        self.chroma[usize::from(pitch % 12)] += amount;
        if share >= 0.35 && self.lowest.is_none_or(|(low, _)| pitch < low) {
            self.lowest = Some((pitch, amount));
        }
    }

    /// The lowest note is a bass below E3, none above G4, and something of one between.
    fn set_bass(&mut self) {
        if let Some((pitch, amount)) = self.lowest {
            let depth = ((67.0 - f32::from(pitch)) / 15.0).clamp(0.0, 1.0);
            self.bass[usize::from(pitch % 12)] = amount.min(1.0) * depth;
        }
    }
}

/// Parts of a beat at which notes are looked for.
const DIVISIONS: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0];

/// Above this, onsets keep to the beat. Recorded rolls and transcriptions reach 0.1, swung solos begin at 0.3, and
/// what was written as notes has 1.
const REGULAR: f64 = 0.2;

/// True when the onsets lie in some regular way around the beats of the file: for one of the divisions of the beat, the
/// mean of the onsets' phases as unit vectors is long. Onsets that know nothing of the beat have it near zero.
fn keeps_time(score: &Score) -> bool {
    let pitched = score.tracks.iter().filter(|t| t.channel != DRUMS);
    let mut onsets: Vec<u32> = pitched.flat_map(|t| &t.notes).map(|n| n.start).collect();
    onsets.sort_unstable();
    onsets.dedup();
    // Too few to tell: the file is believed.
    if onsets.len() < 8 {
        return true;
    }
    let mut sums = [(0.0, 0.0); DIVISIONS.len()];
    for onset in &onsets {
        let phase = std::f64::consts::TAU * f64::from(*onset) / f64::from(score.ticks_per_quarter.max(1));
        for (division, sum) in DIVISIONS.iter().zip(&mut sums) {
            let (sin, cos) = (division * phase).sin_cos();
            *sum = (sum.0 + cos, sum.1 + sin);
        }
    }
    sums.iter().any(|(x, y)| x.hypot(*y) > REGULAR * onsets.len() as f64)
}

/// The beats of all bars up to the end, `None` when there are too many to be music.
fn beats(score: &Score, clock: &Clock) -> Option<Vec<(u32, Place)>> {
    let bars = score.bars();
    let mut beats = Vec::with_capacity(4 * bars.len());
    for (i, &bar) in bars.iter().enumerate() {
        let next = bars.get(i + 1).copied().unwrap_or_else(|| score.bar_line_from(bar.saturating_add(1)));
        let length = clock.seconds(next) - clock.seconds(bar);
        let at = score.meters.partition_point(|m| m.tick <= bar);
        let meter = at.checked_sub(1).map_or(Meter::DEFAULT, |m| score.meters[m]);
        let count = beats_in(&meter, length);
        for k in 0..count {
            let tick = u64::from(bar) + u64::from(next - bar) * u64::from(k) / u64::from(count);
            let place = match k {
                0 => Place::Bar,
                _ if 2 * k == count => Place::Half,
                _ => Place::Beat,
            };
            if beats.last().is_none_or(|(last, _)| u64::from(*last) < tick) && tick < u64::from(score.end()) {
                beats.push((tick as u32, place));
            }
        }
        if beats.len() > MOST {
            return None;
        }
    }
    Some(beats)
}

/// How many windows a bar of some seconds has: its beats (dotted ones in compound metres), grouped or halved.
fn beats_in(meter: &Meter, length: f64) -> u32 {
    let numerator = u32::from(meter.numerator.max(1));
    let compound = meter.denominator >= 8 && numerator.is_multiple_of(3);
    let mut count = if compound { numerator / 3 } else { numerator };
    while length / f64::from(count) < SHORTEST && count > 1 {
        count = match count {
            even if even.is_multiple_of(2) => even / 2,
            three if three.is_multiple_of(3) => three / 3,
            _ => 1,
        };
    }
    while length / f64::from(count) > LONGEST && count < 64 {
        count *= if compound && count == numerator / 3 { 3 } else { 2 };
    }
    count
}

/// Windows of half a second, or as much longer as keeps them few.
fn seconds(score: &Score, clock: &Clock) -> Vec<(u32, Place)> {
    let end = score.end();
    let length = clock.seconds(end);
    let step = FREE.max(length / MOST as f64);
    let count = (length / step).ceil() as u32;
    let mut ticks: Vec<u32> = (0..count).map(|i| clock.tick(f64::from(i) * step)).filter(|t| *t < end).collect();
    ticks.dedup();
    ticks.into_iter().map(|tick| (tick, Place::Free)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Note, Track};

    /// Notes at these ticks, 480 a quarter.
    fn score(onsets: impl Iterator<Item = u32>) -> Score {
        let mut score = Score::new(480);
        let note = |start| Note { start, pitch: 60, end: start + 100, velocity: 80 };
        score.tracks.push(Track { notes: onsets.map(note).collect(), ..Track::default() });
        score
    }

    #[test]
    fn notes_on_a_grid_keep_time_and_others_do_not() {
        for grid in [480, 240, 160, 120, 80, 60] {
            assert!(keeps_time(&score((0..200).map(|i| i * grid))), "{grid}");
        }
        // Steps that share nothing with the beat.
        let free = score((0..200u32).map(|i| i * 337 + i * i % 97));
        assert!(!keeps_time(&free));
        assert!(windows(&free).iter().all(|w| w.place == Place::Free));
    }

    #[test]
    fn windows_are_beats_of_the_metre() {
        let mut score = score((0..16).map(|i| i * 240));
        score.meters.push(Meter { tick: 0, numerator: 6, denominator: 8 });
        let places: Vec<(u32, Place)> = windows(&score).iter().map(|w| (w.start, w.place)).collect();
        assert_eq!(places[..4], [(0, Place::Bar), (720, Place::Half), (1440, Place::Bar), (2160, Place::Half)]);
    }

    #[test]
    fn beats_are_grouped_when_fast_and_halved_when_slow() {
        let common = Meter::DEFAULT;
        assert_eq!([0.8, 1.6, 4.0, 8.0].map(|length| beats_in(&common, length)), [2, 4, 4, 8]);
        let five = Meter { numerator: 5, ..Meter::DEFAULT };
        assert_eq!([1.0, 4.0].map(|length| beats_in(&five, length)), [1, 5]);
    }
}
