//! Bar lines of a score with metre changes.

use crate::midi::{Meter, Score};

/// The most bar lines of a score: more come from damaged files only (one tick a quarter, a note weeks later).
const MOST_BARS: usize = 1 << 20;

impl Meter {
    /// The metre where a file has none: 4/4.
    pub const DEFAULT: Self = Self { tick: 0, numerator: 4, denominator: 4 };

    /// Ticks in a bar as a fraction, exact where a bar is not a whole number of ticks; at least 1.
    fn bar(&self, ticks_per_quarter: u32) -> (u64, u64) {
        let denominator = u64::from(self.denominator.max(1));
        ((4 * u64::from(ticks_per_quarter) * u64::from(self.numerator)).max(denominator), denominator)
    }
}

impl Score {
    /// The ticks of all bar lines before the end, the first at 0: as many as there are bars. A metre change begins a
    /// bar. There are a million or so at most.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// // One bar of 4/4 has 1920 ticks.
    /// assert_eq!(score.bars(), [0]);
    /// ```
    pub fn bars(&self) -> Vec<u32> {
        let end = self.end();
        let mut bars = vec![0];
        for (meter, next) in self.meter_spans() {
            if u64::from(meter.tick) >= u64::from(end) {
                break;
            }
            let stop = next.min(end.into());
            let (bar, parts) = meter.bar(self.ticks_per_quarter);
            let lines = (0u64..).map(|k| u64::from(meter.tick) + k * bar / parts);
            let lines = lines.take_while(|&t| t < stop).map(|t| t as u32).filter(|&t| t > 0);
            let room = MOST_BARS - bars.len();
            bars.extend(lines.take(room));
        }
        bars
    }

    /// The first bar line at or after a tick.
    ///
    /// ```
    /// use etude::midi::Score;
    ///
    /// let score = Score::new(480); // 4/4 unless a metre event says otherwise
    /// assert_eq!((score.bar_line_from(1), score.bar_line_from(1920)), (1920, 1920));
    /// ```
    pub fn bar_line_from(&self, tick: u32) -> u32 {
        let spans = self.meter_spans();
        let (meter, next) = spans.iter().rfind(|(m, _)| m.tick <= tick).copied().unwrap_or((Meter::DEFAULT, u64::MAX));
        let (begin, (bar, parts)) = (u64::from(meter.tick), meter.bar(self.ticks_per_quarter));
        let bars = ((u64::from(tick) - begin) * parts).div_ceil(bar);
        (begin + bars * bar / parts).min(next).min(u32::MAX.into()) as u32
    }

    /// Every metre and the tick at which it ends; the first begins at 0.
    fn meter_spans(&self) -> Vec<(Meter, u64)> {
        let first = self.meters.first().is_none_or(|m| m.tick > 0).then_some(Meter::DEFAULT);
        let meters: Vec<Meter> = first.into_iter().chain(self.meters.iter().copied()).collect();
        let ends = meters.iter().skip(1).map(|m| u64::from(m.tick)).chain([u64::MAX]).collect::<Vec<_>>();
        meters.into_iter().zip(ends).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Note, Track};

    fn score(ticks: u32, end: u32, meters: &[(u32, u8, u8)]) -> Score {
        let mut score = Score::new(ticks);
        let notes = vec![Note { start: 0, pitch: 60, end, velocity: 80 }];
        score.tracks.push(Track { notes, ..Track::default() });
        let meter = |&(tick, numerator, denominator): &(u32, u8, u8)| Meter { tick, numerator, denominator };
        score.meters = meters.iter().map(meter).collect();
        score
    }

    #[test]
    fn bars_follow_the_metre() {
        assert_eq!(score(100, 1000, &[]).bars(), [0, 400, 800]);
        assert_eq!(score(100, 800, &[]).bars(), [0, 400]);
        assert_eq!(score(100, 1000, &[(0, 3, 4), (500, 6, 8)]).bars(), [0, 300, 500, 800]);
        assert_eq!(score(100, 900, &[(500, 2, 4)]).bars(), [0, 400, 500, 700]);
        assert_eq!(Score::new(100).bars(), [0]);
    }

    #[test]
    fn fractions_of_a_tick_are_carried() {
        assert_eq!(score(2, 9, &[(0, 3, 8)]).bars(), [0, 3, 6]);
        assert_eq!(score(1, 7, &[(0, 3, 8)]).bars(), [0, 1, 3, 4, 6]);
    }

    #[test]
    fn damaged_files_do_not_get_bars_without_end() {
        let bars = score(1, u32::MAX, &[(0, 1, 128)]).bars();
        assert_eq!(bars.len(), MOST_BARS);
        assert!(bars.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn the_next_bar_line_is_found_without_counting() {
        for (ticks, meters) in [(100, vec![]), (1, vec![(0, 3, 8)]), (10, vec![(0, 3, 4), (95, 7, 8)])] {
            let score = score(ticks, 300, &meters);
            let bars = score.bars();
            for tick in 0..bars[bars.len() - 1] {
                assert_eq!(bars.iter().copied().find(|b| *b >= tick), Some(score.bar_line_from(tick)), "{tick}");
            }
        }
    }
}
