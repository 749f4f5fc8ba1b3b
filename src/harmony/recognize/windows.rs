//! A score as a sequence of short windows: the weight of each pitch class in them, and the bass.
//!
//! Windows are beats where the notes are aligned with the beats of the file, and half seconds where they are not: in a
//! recorded performance the ticks of the file are unrelated to the music.

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::midi::{Clock, Meter, Note, Score};

/// How much of each pitch class there is.
pub(super) type Chroma = [f32; 12];

/// A short span of the score with one harmony: pitch-class weights by role.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// First tick.
    pub(super) start: u32,
    /// The metrical strength of its start.
    pub(super) place: Place,
    /// Everything that sounds, loud and low notes more than soft and high ones.
    pub(super) chroma: Chroma,
    /// Notes that begin together with two others at least, each pitch class up to 1 when it lasts the window.
    pub(super) block: Chroma,
    /// Notes that begin alone or in pairs, from E3 up: melodies, broken chords.
    pub(super) line: Chroma,
    /// The same below E3: walking basses, broken chords.
    pub(super) low: Chroma,
    /// The pitch class of the first low note of the window.
    pub(super) bass: Option<Bass>,
    /// The pitch of that note, and whether it is part of a block chord.
    lowest: Option<(u8, bool)>,
}

/// The bass of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bass {
    /// Pitch class.
    pub(super) class: u8,
    /// How far it counts as a bass, 0 to 1.
    pub(super) depth: f32,
    /// It is part of a block chord.
    pub(super) block: bool,
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

/// The most windows of a score; more would come from damaged files only.
const MOST: usize = 1 << 14;

/// A note counts for at most this many windows: piano strings fade, and time must stay linear in the notes.
const REACH: usize = 8;

/// The share of its sound that a note keeps from window to window.
const FADE: f32 = 0.85;

/// Length of windows without a beat, in seconds.
const FREE: f64 = 0.5;

/// Beats are halved above the longer and grouped below the shorter, in seconds.
const SHORTEST: f64 = 0.3;
const LONGEST: f64 = 1.3;

/// Notes that begin within this many seconds begin together, and this many of them are a block chord.
const TOGETHER: f64 = 0.03;
const BLOCK: usize = 3;

/// E3: lines below it are basses.
const LOW: u8 = 52;

/// The windows of a score from its start to its last note.
///
/// # Errors
/// `interrupted`, when the user cancels.
pub(super) fn windows(score: &Score, interrupt: &Interrupt) -> Result<Vec<Window>> {
    let clock = Clock::new(score);
    let places = if keeps_time(score) { beats(score, &clock) } else { None };
    fill(score, &clock, places.unwrap_or_else(|| seconds(score, &clock)), interrupt)
}

/// Windows of half a second, whatever the beat.
#[cfg(test)]
pub(super) fn free_windows(score: &Score) -> Vec<Window> {
    let clock = Clock::new(score);
    fill(score, &clock, seconds(score, &clock), &Interrupt::new()).expect("nobody cancels")
}

fn fill(score: &Score, clock: &Clock, places: Vec<(u32, Place)>, interrupt: &Interrupt) -> Result<Vec<Window>> {
    let mut windows: Vec<Window> = places.into_iter().map(Window::new).collect();
    let mut notes: Vec<(&Note, bool)> = Vec::new();
    for track in score.pitched() {
        notes.extend(track.notes.iter().zip(together(&track.notes, clock)));
    }
    notes.sort_unstable();
    let end = score.end();
    for (note, block) in notes {
        interrupt.check()?;
        let first = windows.partition_point(|w| w.start <= note.start).saturating_sub(1);
        // Loud notes weigh more; high ones, which carry the melody, less.
        let high = (f32::from(note.pitch) - 66.0) / 24.0;
        let mut weight = (0.5 + f32::from(note.velocity) / 254.0) * (1.0 - 0.6 * high.clamp(0.0, 1.0));
        let mut fade = 1.0;
        for i in first..windows.len().min(first + REACH) {
            let (begin, until) = (windows[i].start, windows.get(i + 1).map_or(end, |w| w.start));
            if begin >= note.end {
                break;
            }
            let sounds = note.end.min(until).saturating_sub(note.start.max(begin));
            let share = sounds as f32 / until.saturating_sub(begin).max(1) as f32;
            let early = note.start <= begin + until.saturating_sub(begin) / 4;
            windows[i].add(note.pitch, share, weight, block.then_some(fade), early);
            weight *= FADE;
            fade *= FADE;
        }
    }
    for window in &mut windows {
        window.set_bass();
    }
    Ok(windows)
}

/// For each note of a track: whether two others at least begin together with it.
fn together(notes: &[Note], clock: &Clock) -> Vec<bool> {
    let mut block = vec![false; notes.len()];
    let (mut first, mut begin) = (0, f64::NEG_INFINITY);
    for i in 0..=notes.len() {
        let seconds = notes.get(i).map_or(f64::INFINITY, |n| clock.seconds(n.start));
        if seconds - begin > TOGETHER {
            if i - first >= BLOCK {
                block[first..i].fill(true);
            }
            (first, begin) = (i, seconds);
        }
    }
    block
}

impl Window {
    fn new((start, place): (u32, Place)) -> Self {
        let none = [0.0; 12];
        Self { start, place, chroma: none, block: none, line: none, low: none, bass: None, lowest: None }
    }

    /// Adds a note that sounds for a share of the window.
    fn add(&mut self, pitch: u8, share: f32, weight: f32, block: Option<f32>, early: bool) {
        let class = usize::from(pitch % 12);
        self.chroma[class] += share * weight;
        match block {
            Some(fade) => self.block[class] = (self.block[class] + share * fade).min(1.0),
            None if pitch >= LOW => self.line[class] = (self.line[class] + share * weight).min(1.0),
            None => self.low[class] = (self.low[class] + share * weight).min(1.0),
        }
        // A late note is the bass only when it is much lower.
        let depth = if early { 0 } else { 6 };
        if share >= 0.25 && self.lowest.is_none_or(|(low, _)| pitch + depth < low) {
            self.lowest = Some((pitch, block.is_some()));
        }
    }

    /// The lowest note is a bass below E3, no bass above G4, and partly one between.
    fn set_bass(&mut self) {
        if let Some((pitch, block)) = self.lowest {
            let depth = ((67.0 - f32::from(pitch)) / 15.0).clamp(0.0, 1.0);
            self.bass = (depth > 0.0).then_some(Bass { class: pitch % 12, depth, block });
        }
    }
}

/// True when the onsets are aligned with the quarters of the file, or too few to tell; a metre event is not required.
fn keeps_time(score: &Score) -> bool {
    let quarter = f64::from(score.ticks_per_quarter.max(1));
    score.keeps_to(|tick| f64::from(tick) / quarter)
}

/// The beats of all bars up to the end, `None` when there are too many to be music.
fn beats(score: &Score, clock: &Clock) -> Option<Vec<(u32, Place)>> {
    let (bars, end) = (score.bars(), u64::from(score.end()));
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
            if beats.last().is_none_or(|(last, _)| u64::from(*last) < tick) && tick < end {
                beats.push((tick as u32, place));
            }
        }
        if beats.len() > MOST {
            return None;
        }
    }
    Some(beats)
}

/// The number of windows in a bar of some seconds: its beats (dotted ones in compound metres), grouped or halved.
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
    use crate::midi::Track;

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
        assert!(windows(&free, &Interrupt::new()).expect("nobody cancels").iter().all(|w| w.place == Place::Free));
    }

    #[test]
    fn windows_are_beats_of_the_metre() {
        let mut score = score((0..16).map(|i| i * 240));
        score.meters.push(Meter { tick: 0, numerator: 6, denominator: 8 });
        let places: Vec<(u32, Place)> =
            windows(&score, &Interrupt::new()).expect("nobody cancels").iter().map(|w| (w.start, w.place)).collect();
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
