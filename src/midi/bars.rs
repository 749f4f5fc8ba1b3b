//! Bar lines, along the metre changes.

use crate::midi::{Meter, Score};

/// No score has more bar lines: more come from damaged files only (one tick a quarter, a note weeks later).
const MOST_BARS: usize = 1 << 20;

impl Meter {
    /// What holds where a file says nothing: 4/4.
    pub const DEFAULT: Self = Self { tick: 0, numerator: 4, denominator: 4 };

    /// Ticks of `bars` bars; a bar lasts one at least.
    fn ticks(&self, bars: u64, ticks_per_quarter: u32) -> u64 {
        let denominator = u64::from(self.denominator.max(1));
        let quarter = u64::from(ticks_per_quarter);
        // A fraction of a tick is carried, not lost: twelve ticks a quarter, bars of 3/64.
        bars * (4 * quarter * u64::from(self.numerator)).max(denominator) / denominator
    }
}

impl Score {
    /// The ticks of all bar lines before the end, the first at 0: as many as there are bars. A metre change begins a
    /// bar. There are a million or so at most.
    pub fn bars(&self) -> Vec<u32> {
        let end = self.end();
        let mut bars = vec![0];
        for (meter, next) in self.meter_spans() {
            if u64::from(meter.tick) >= u64::from(end) {
                break;
            }
            let stop = next.min(end.into());
            let lines = (0u64..).map(|k| u64::from(meter.tick) + meter.ticks(k, self.ticks_per_quarter));
            let lines = lines.take_while(|&t| t < stop).map(|t| t as u32).filter(|&t| t > 0);
            let room = MOST_BARS - bars.len();
            bars.extend(lines.take(room));
        }
        bars
    }

    /// The first bar line at or after a tick.
    pub fn bar_line_from(&self, tick: u32) -> u32 {
        let spans = self.meter_spans();
        let (meter, next) = spans.iter().rfind(|(m, _)| m.tick <= tick).copied().unwrap_or((Meter::DEFAULT, u64::MAX));
        let (begin, bar) = (u64::from(meter.tick), meter.ticks(1, self.ticks_per_quarter));
        // At most two steps from the estimate, which carries a fraction of a tick a bar.
        let guess = (u64::from(tick) - begin) / bar.max(1);
        let line = (guess.saturating_sub(guess / bar.max(1) + 1)..)
            .map(|k| begin + meter.ticks(k, self.ticks_per_quarter))
            .find(|&line| line >= u64::from(tick));
        line.unwrap_or(next).min(next).min(u32::MAX.into()) as u32
    }

    /// Every metre and the tick at which it ends; the first begins at 0.
    fn meter_spans(&self) -> Vec<(Meter, u64)> {
        let first = self.meters.first().is_none_or(|m| m.tick > 0).then_some(Meter::DEFAULT);
        let meters: Vec<Meter> = first.into_iter().chain(self.meters.iter().copied()).collect();
        let ends = meters.iter().skip(1).map(|m| u64::from(m.tick)).chain([u64::MAX]).collect::<Vec<_>>();
        meters.into_iter().zip(ends).collect()
    }
}
