//! The beats of a score, and whether its onsets are aligned with them.

use crate::midi::{Meter, Score};

/// A beat of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// Its position.
    pub tick: u32,
    /// True on a bar line.
    pub bar: bool,
}

/// Divisions of a beat to which onsets are compared.
const DIVISIONS: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0];

/// Above this resultant length, onsets are aligned with the beat. Recorded rolls and transcriptions reach 0.1, swung
/// solos begin at 0.3, notated music has 1.
const REGULAR: f64 = 0.2;

/// With fewer onsets than this there is no evidence, and the file's beats are used.
const FEW: usize = 8;

impl Meter {
    /// Beats in a bar: the numerator, or a third of it in compound metres (6/8 has two, 3/8 one).
    fn beats(&self) -> u32 {
        let numerator = u32::from(self.numerator.max(1));
        if self.denominator >= 8 && numerator.is_multiple_of(3) { numerator / 3 } else { numerator }
    }
}

impl Score {
    /// The beats of all bars up to the end, the first at 0.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// let beats = score.beats();
    /// assert_eq!((beats[0].bar, beats[1].bar, beats[1].tick), (true, false, 480));
    /// ```
    pub fn beats(&self) -> Vec<Beat> {
        let (bars, end) = (self.bars(), self.end());
        let mut beats = Vec::with_capacity(4 * bars.len());
        for (i, &bar) in bars.iter().enumerate() {
            let next = bars.get(i + 1).copied().unwrap_or_else(|| self.bar_line_from(bar.saturating_add(1)));
            let at = self.meters.partition_point(|m| m.tick <= bar);
            let count = at.checked_sub(1).map_or(Meter::DEFAULT, |m| self.meters[m]).beats();
            let ticks = (0..count).map(|k| bar + (u64::from(next - bar) * u64::from(k) / u64::from(count)) as u32);
            let ticks = ticks.take_while(|&tick| tick < end.max(1));
            beats.extend(ticks.enumerate().map(|(k, tick)| Beat { tick, bar: k == 0 }));
        }
        beats.dedup_by_key(|beat| beat.tick);
        beats
    }

    /// True when the score has a metre of its own and its onsets are aligned with the beats.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// // It names no metre.
    /// assert!(!score.keeps_time());
    /// ```
    pub fn keeps_time(&self) -> bool {
        if self.meters.is_empty() {
            return false;
        }
        let beats = self.beats();
        self.keeps_to(|tick| phase(&beats, tick))
    }

    /// True when the onsets are aligned with the beats, or too few to tell; `phase` gives the position of a tick in
    /// beats, of which only the fraction counts. For one of the divisions of the beat, the mean of the onsets' phases
    /// as unit vectors is long; for onsets independent of the beat it is near zero.
    pub(crate) fn keeps_to(&self, phase: impl Fn(u32) -> f64) -> bool {
        let mut onsets: Vec<u32> = self.pitched().flat_map(|t| &t.notes).map(|n| n.start).collect();
        onsets.sort_unstable();
        onsets.dedup();
        if onsets.len() < FEW {
            return true;
        }
        let mut sums = [(0.0, 0.0); DIVISIONS.len()];
        for &onset in &onsets {
            let phase = std::f64::consts::TAU * phase(onset);
            for (division, sum) in DIVISIONS.iter().zip(&mut sums) {
                let (sin, cos) = (division * phase).sin_cos();
                *sum = (sum.0 + cos, sum.1 + sin);
            }
        }
        sums.iter().any(|(x, y)| x.hypot(*y) > REGULAR * onsets.len() as f64)
    }
}

/// How far a tick lies between the beats around it, 0 to 1; after the last beat, which is as long as the one before.
fn phase(beats: &[Beat], tick: u32) -> f64 {
    let after = beats.partition_point(|beat| beat.tick <= tick);
    let Some(before) = after.checked_sub(1).map(|i| beats[i].tick) else { return 0.0 };
    let length = match beats.get(after) {
        Some(next) => next.tick - before,
        None => after.checked_sub(2).map_or(1, |i| before - beats[i].tick),
    };
    f64::from(tick - before) / f64::from(length.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Note, Track};

    /// Notes at these ticks, 480 a quarter, in one metre.
    fn score(onsets: impl Iterator<Item = u32>, numerator: u8, denominator: u8) -> Score {
        let mut score = Score::new(480);
        let note = |start| Note { start, pitch: 60, end: start + 100, velocity: 80 };
        score.tracks.push(Track { notes: onsets.map(note).collect(), ..Track::default() });
        score.meters.push(Meter { tick: 0, numerator, denominator });
        score
    }

    #[test]
    fn beats_follow_the_metre_up_to_the_end() {
        let ticks = |score: Score| score.beats().iter().map(|b| (b.tick, b.bar)).collect::<Vec<_>>();
        assert_eq!(ticks(score([0, 1000].into_iter(), 2, 4)), [(0, true), (480, false), (960, true)]);
        assert_eq!(ticks(score([0, 1500].into_iter(), 6, 8)), [(0, true), (720, false), (1440, true)]);
        assert_eq!(ticks(Score::new(480)), [(0, true)]);
    }

    #[test]
    fn notes_on_a_grid_keep_time_and_others_do_not() {
        for grid in [480, 240, 160, 120, 80, 60] {
            assert!(score((0..200).map(|i| i * grid), 4, 4).keeps_time(), "{grid}");
        }
        let free = score((0..200u32).map(|i| i * 337 + i * i % 97), 4, 4);
        assert!(!free.keeps_time());
        let mut unnamed = score((0..200).map(|i| i * 480), 4, 4);
        unnamed.meters.clear();
        assert!(!unnamed.keeps_time());
    }
}
