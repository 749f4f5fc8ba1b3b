//! Where the numbers of an axis stand.

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
    // Zero is written as zero, not as the crumbs that a sum leaves.
    (0..=many).map(|i| (first + i as f64) * step).map(|t| if t.abs() < step * 1e-6 { 0.0 } else { t }).collect()
}

/// Seconds between two marks of a time axis.
const SECONDS: [f64; 17] =
    [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 36_000.0];

/// The step of a time axis whose marks are no closer than `least` seconds.
pub(super) fn time_step(least: f64) -> f64 {
    SECONDS.into_iter().find(|step| *step >= least).unwrap_or(least)
}

/// A moment of a time axis with marks so far apart: "0.5 s", "12 s" below a minute, else "1:30".
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
    fn moments_read_well() {
        assert_eq!(
            [moment(0.5, 0.5, 3.0), moment(12.0, 2.0, 30.0), moment(90.0, 30.0, 200.0)],
            ["0.5 s", "12 s", "1:30"]
        );
        assert_eq!(time_step(1.2), 2.0);
        assert_eq!(time_step(1e9), 1e9);
    }
}
