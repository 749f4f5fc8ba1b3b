//! The metres of a chart: what holds in which bar, how long bars are, and where metres change over many passes.

use std::fmt;

use crate::harmony::chart::{Chart, MOST_BARS};
use crate::midi::Meter;

/// A metre from a bar on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarMeter {
    /// The first bar it holds for, from 0.
    pub bar: usize,
    /// Beats in a bar.
    pub numerator: u8,
    /// The note value of a beat: 4 is a quarter.
    pub denominator: u8,
}

impl BarMeter {
    /// Reads `3/4`: 1 to 32 beats of a whole note to a thirty-second.
    ///
    /// ```
    /// use etude::harmony::BarMeter;
    ///
    /// assert_eq!(BarMeter::read("6/8").map(|meter| meter.numerator), Some(6));
    /// assert_eq!(BarMeter::read("5/3"), None);
    /// ```
    pub fn read(text: &str) -> Option<Self> {
        let (beats, unit) = text.split_once('/')?;
        let (numerator, denominator) = (beats.trim().parse().ok()?, unit.trim().parse().ok()?);
        let sane = (1..=32).contains(&numerator) && matches!(denominator, 1 | 2 | 4 | 8 | 16 | 32);
        sane.then_some(Self { bar: 0, numerator, denominator })
    }

    /// Ticks in a bar; a whole number, as the denominator is 32 at most.
    pub(super) fn ticks(self) -> u32 {
        4 * Chart::TICKS_PER_QUARTER * u32::from(self.numerator) / u32::from(self.denominator.max(1))
    }
}

impl fmt::Display for BarMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

impl Chart {
    /// Ticks in a quarter of the scores that charts become.
    pub const TICKS_PER_QUARTER: u32 = 480;

    /// The metre of a bar.
    ///
    /// ```
    /// # use etude::harmony::Chart;
    /// let waltz: Chart = "3/4: Dm7 | G7".parse()?;
    /// assert_eq!((waltz.meter(0).to_string(), waltz.beats()), ("3/4".into(), 6.0));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn meter(&self, bar: usize) -> BarMeter {
        let at = self.meters.partition_point(|m| m.bar <= bar).checked_sub(1);
        at.map_or(BarMeter { bar: 0, numerator: 4, denominator: 4 }, |at| self.meters[at])
    }

    /// The chart in another metre, up to the first that it names itself.
    #[must_use]
    pub fn in_meter(mut self, meter: BarMeter) -> Self {
        if self.meters.first().is_none_or(|first| first.bar > 0) {
            // Before that it was in 4/4.
            self.meters.insert(0, BarMeter { bar: 0, ..meter });
        }
        self.settled()
    }

    /// The length of a bar in beats (quarters).
    ///
    /// ```
    /// use etude::harmony::Chart;
    ///
    /// let chart: Chart = "6/8: C | 3/4: G7".parse()?;
    /// assert_eq!((chart.beats_of_bar(0), chart.beats_of_bar(1), chart.beats()), (3.0, 3.0, 6.0));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn beats_of_bar(&self, bar: usize) -> f64 {
        f64::from(self.meter(bar).ticks()) / f64::from(Self::TICKS_PER_QUARTER)
    }

    /// Its length in beats (quarters).
    ///
    /// ```
    /// # use etude::harmony::Chart;
    /// let chart: Chart = "Dm7 G7 | Cmaj7".parse()?;
    /// assert_eq!(chart.beats(), 8.0);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn beats(&self) -> f64 {
        (0..self.bars.len()).map(|bar| self.beats_of_bar(bar)).sum()
    }

    /// Where the metre changes in the first bars of the chart, played again and again, in ticks of
    /// [`Chart::TICKS_PER_QUARTER`]; the first change is at 0. More bars than a chart can have are left out.
    ///
    /// ```
    /// use etude::harmony::Chart;
    /// use etude::midi::Meter;
    ///
    /// let chart: Chart = "3/4: C | 4/4: G7".parse()?;
    /// let ticks: Vec<u32> = chart.meters_over(3).iter().map(|meter| meter.tick).collect();
    /// assert_eq!(ticks, [0, 3 * 480, 7 * 480]);
    /// assert_eq!(Chart::default().meters_over(8), [Meter::DEFAULT]); // 4/4 by default
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn meters_over(&self, bars: usize) -> Vec<Meter> {
        let (mut tick, mut meters) = (0u32, Vec::<Meter>::new());
        for bar in 0..bars.clamp(1, MOST_BARS) {
            let meter = self.meter(bar % self.bars.len().max(1));
            let BarMeter { numerator, denominator, .. } = meter;
            if meters.last().is_none_or(|last| (last.numerator, last.denominator) != (numerator, denominator)) {
                meters.push(Meter { tick, numerator, denominator });
            }
            tick = tick.saturating_add(meter.ticks());
        }
        meters
    }

    /// Leaves out metres that change nothing.
    pub(super) fn settled(mut self) -> Self {
        let mut last = (4, 4);
        self.meters
            .retain(|m| std::mem::replace(&mut last, (m.numerator, m.denominator)) != (m.numerator, m.denominator));
        self
    }
}
