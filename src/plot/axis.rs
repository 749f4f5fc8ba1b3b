//! Axes with tick marks, and the mapping of values onto them for plotters.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::number::short;

/// A linear axis from `low` to `high` (which may be reversed), with tick marks. Values outside are clamped to its ends,
/// values that are not finite to `low`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) marks: Vec<f64>,
}

impl Axis {
    /// An axis that ends at the nearest tick marks around the values, with about `count` marks: it does not change
    /// while values grow between two marks.
    pub(super) fn around(low: f64, high: f64, count: usize) -> Self {
        let (low, high) = if high > low { (low, high) } else { (low - room(low), low + room(low)) };
        let marks = ticks(low, high, count);
        let step = if marks.len() > 1 { marks[1] - marks[0] } else { 0.0 };
        let (first, last) = (marks[0], marks[marks.len() - 1]);
        let low = if low < first - step * 1e-6 { first - step } else { first };
        let high = if high > last + step * 1e-6 { last + step } else { last };
        Self { low, high, marks: ticks(low, high, count.max(1)) }
    }

    /// An axis from one value to another with about `count` tick marks.
    pub(super) fn between(low: f64, high: f64, count: usize) -> Self {
        Self { low, high, marks: ticks(low, high, count) }
    }

    /// An axis without tick marks.
    pub(super) fn bare(low: f64, high: f64) -> Self {
        Self { low, high, marks: Vec::new() }
    }

    /// The relative position of a value, from 0 at `low` to 1 at `high`.
    pub(super) fn share(&self, value: f64) -> f64 {
        // Halved first, because the difference of two huge numbers overflows.
        let share = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }
}

/// The margin around a single value.
fn room(value: f64) -> f64 {
    if value == 0.0 { 1.0 } else { value.abs() / 2.0 }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + (self.share(*value) * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, hint: H) -> Vec<f64> {
        // There are no minor grid lines.
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        short(*value)
    }
}

/// Round numbers from `low` to `high`, about `count` of them: multiples of 1, 2 or 5 times a power of ten.
pub(super) fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let rough = (high / 2.0 - low / 2.0) / count.max(1) as f64 * 2.0;
    if !rough.is_finite() || rough <= 0.0 {
        return vec![low];
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|s| s * power).find(|s| *s >= rough * 0.999).unwrap_or(rough);
    let first = (low / step - 1e-9).ceil();
    let many = ((high / step + 1e-9).floor() - first).clamp(0.0, 4.0 * count as f64) as usize;
    // A sum near zero is rounded to zero.
    (0..=many).map(|i| (first + i as f64) * step).map(|t| if t.abs() < step * 1e-6 { 0.0 } else { t }).collect()
}

/// Steps between tick marks of a time axis, in seconds.
const SECONDS: [f64; 17] =
    [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 36_000.0];

/// The least step of a time axis that is at least `least` seconds.
pub(super) fn time_step(least: f64) -> f64 {
    SECONDS.into_iter().find(|step| *step >= least).unwrap_or(least)
}

/// The label of a time: "0.5 s", "12 s" below a minute, else "1:30".
pub(super) fn moment(seconds: f64, step: f64, last: f64) -> String {
    match () {
        () if last >= 60.0 => format!("{}:{:02}", (seconds + 0.5) as u64 / 60, (seconds + 0.5) as u64 % 60),
        () if step < 1.0 => format!("{seconds:.1} s"),
        () => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(-1.0, 1.0, 4), [-1.0, -0.5, 0.0, 0.5, 1.0]);
        assert_eq!(ticks(3.1, 3.2, 2), [3.1, 3.15, 3.2].map(|t| (t * 20.0_f64).round() * 0.05));
        assert_eq!(ticks(1.0, 1.0, 5), [1.0]);
        assert!(ticks(-1e308, 1e308, 5).iter().all(|t| t.is_finite()));
        assert!(ticks(0.0, 1e-300, 5).len() > 2);
    }

    #[test]
    fn an_axis_ends_at_its_marks_and_holds_all_values() {
        let axis = Axis::around(0.13, 4.2, 5);
        assert_eq!((axis.low, axis.high), (0.0, 5.0));
        assert_eq!(axis, Axis::around(0.4, 4.7, 5), "it stays while values move between marks");
        assert_eq!((axis.map(&2.5, (100, 0)), axis.map(&9.0, (100, 0)), axis.map(&f64::NAN, (100, 0))), (50, 0, 100));
        for (low, high) in [(2.0, 2.0), (0.0, 0.0), (-1e300, 1e300), (1e-300, 2e-300), (-3.0, -2.9)] {
            let axis = Axis::around(low, high, 5);
            assert!(axis.low <= low && axis.high >= high && axis.low < axis.high, "{low} to {high}: {axis:?}");
            assert!(axis.marks.len() < 30, "{axis:?}");
        }
    }

    #[test]
    fn moments_read_well() {
        assert_eq!(
            [moment(0.5, 0.5, 3.0), moment(12.0, 2.0, 30.0), moment(90.0, 30.0, 200.0)],
            ["0.5 s", "12 s", "1:30"]
        );
        assert_eq!(time_step(1.2), 2.0);
        assert_eq!(time_step(1e9), 1e9);
    }
}
