//! Conversion between ticks and seconds along a tempo map.

use crate::midi::{Score, Tempo};

impl Tempo {
    /// The tempo where a file has none: 120 beats per minute.
    pub const DEFAULT: Self = Self { tick: 0, micros_per_quarter: 500_000 };

    /// Beats (quarters) per minute: the shortest number that a MIDI file stores as this tempo.
    ///
    /// ```
    /// use etude::midi::Tempo;
    ///
    /// // 90 beats per minute are 666,666.67 µs a quarter, which a file rounds.
    /// assert_eq!(Tempo { tick: 0, micros_per_quarter: 666_667 }.bpm(), 90.0);
    /// ```
    pub fn bpm(&self) -> f64 {
        let micros = self.micros_per_quarter.max(1);
        let exact = 60e6 / f64::from(micros);
        let rounded = [1.0, 10.0, 1e2, 1e3, 1e4, 1e5].map(|places| (exact * places).round() / places);
        let same = |bpm: &f64| *bpm > 0.0 && Self::from_bpm(*bpm).micros_per_quarter == micros;
        rounded.into_iter().find(same).unwrap_or(exact)
    }

    /// A tempo in beats per minute, at tick 0, rounded as a MIDI file stores it; the default where it is not a positive
    /// number.
    ///
    /// ```
    /// use etude::midi::Tempo;
    ///
    /// assert_eq!(Tempo::from_bpm(60.0).micros_per_quarter, 1_000_000);
    /// assert_eq!(Tempo::from_bpm(f64::NAN), Tempo::DEFAULT);
    /// ```
    pub fn from_bpm(bpm: f64) -> Self {
        if bpm.is_nan() || bpm <= 0.0 {
            return Self::DEFAULT;
        }
        Self { tick: 0, micros_per_quarter: (60e6 / bpm).round().clamp(1.0, 16_777_215.0) as u32 }
    }
}

/// A tempo map prepared for conversion in `O(log n)`.
#[derive(Debug, Clone)]
pub struct Clock {
    /// (tick, seconds, seconds per tick) of every tempo change, the first at tick 0.
    segments: Vec<(u32, f64, f64)>,
}

impl Clock {
    /// The clock of a score.
    ///
    /// ```
    /// use etude::midi::{Clock, Score, Tempo};
    ///
    /// let mut score = Score::new(480);
    /// score.tempos = vec![Tempo::from_bpm(60.0)];
    /// let clock = Clock::new(&score);
    /// assert_eq!(clock.seconds(960), 2.0);
    /// assert_eq!(clock.tick(1.0), 480);
    /// ```
    pub fn new(score: &Score) -> Self {
        let per_tick = |t: &Tempo| f64::from(t.micros_per_quarter) / 1e6 / f64::from(score.ticks_per_quarter.max(1));
        let mut segments = vec![(0, 0.0, per_tick(&Tempo::DEFAULT))];
        for tempo in &score.tempos {
            let (tick, seconds, slope) = segments[segments.len() - 1];
            let next = (tempo.tick, seconds + f64::from(tempo.tick.saturating_sub(tick)) * slope, per_tick(tempo));
            if tempo.tick <= tick {
                segments.pop();
            }
            segments.push(next);
        }
        Self { segments }
    }

    /// The moment of a tick, in seconds.
    pub fn seconds(&self, tick: u32) -> f64 {
        let at = self.segments.partition_point(|s| s.0 <= tick).saturating_sub(1);
        let (begin, seconds, slope) = self.segments[at];
        seconds + f64::from(tick - begin) * slope
    }

    /// The tick nearest to a moment in seconds.
    pub fn tick(&self, seconds: f64) -> u32 {
        let at = self.segments.partition_point(|s| s.1 <= seconds).saturating_sub(1);
        let (begin, then, slope) = self.segments[at];
        // A cast from float saturates: below 0 gives 0.
        (f64::from(begin) + ((seconds - then) / slope).round()) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_follow_every_tempo() {
        let mut score = Score::new(100);
        score.tempos =
            vec![Tempo { tick: 100, micros_per_quarter: 1_000_000 }, Tempo { tick: 300, micros_per_quarter: 250_000 }];
        let clock = Clock::new(&score);
        // 120 holds until the first change.
        for (tick, seconds) in [(0, 0.0), (50, 0.25), (100, 0.5), (200, 1.5), (300, 2.5), (700, 3.5)] {
            assert!((clock.seconds(tick) - seconds).abs() < 1e-12, "tick {tick}");
            assert_eq!(clock.tick(seconds), tick);
        }
        assert_eq!(clock.tick(-1.0), 0);
        assert_eq!(clock.tick(f64::INFINITY), u32::MAX);
    }

    #[test]
    fn a_tempo_at_the_start_replaces_the_default() {
        let mut score = Score::new(480);
        score.tempos = vec![Tempo::from_bpm(60.0)];
        assert!((Clock::new(&score).seconds(480) - 1.0).abs() < 1e-12);
        assert!((Tempo::from_bpm(90.0).bpm() - 90.0).abs() < 1e-3);
    }
}
