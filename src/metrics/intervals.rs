//! Confidence intervals by the bootstrap (Efron 1979): rows are resampled with replacement, a thousand times, and the
//! middle 95 % of the figures are the interval. Rows of one piece are correlated, so that with few pieces the true
//! interval is somewhat wider.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

impl Interval {
    /// An unknown interval.
    pub const UNKNOWN: Self = Self { low: f64::NAN, high: f64::NAN };

    /// False when there were too few rows.
    pub fn is_known(&self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }
}

/// The number of resamplings.
const DRAWS: usize = 1000;

/// The intervals of `N` figures; `figures` computes them from a resampling of `parts`.
pub(super) fn bootstrap<T, const N: usize>(parts: &[T], figures: impl Fn(&[&T]) -> [f64; N]) -> [Interval; N] {
    let mut draws: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(DRAWS));
    if parts.len() > 1 {
        let mut rng = ChaCha8Rng::seed_from_u64(0); // the same rows have the same interval
        for _ in 0..DRAWS {
            let choice: Vec<&T> = (0..parts.len()).map(|_| &parts[rng.random_range(0..parts.len())]).collect();
            for (draws, figure) in draws.iter_mut().zip(figures(&choice)) {
                draws.extend(figure.is_finite().then_some(figure));
            }
        }
    }
    draws.map(|mut draws| {
        draws.sort_by(f64::total_cmp);
        let at = |share: f64| draws[((draws.len() - 1) as f64 * share).round() as usize];
        if draws.is_empty() { Interval::UNKNOWN } else { Interval { low: at(0.025), high: at(0.975) } }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(parts: &[&f64]) -> [f64; 1] {
        [parts.iter().copied().sum::<f64>() / parts.len() as f64]
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_its_standard_error() {
        let parts: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect(); // mean 9.5, deviation 5.766
        let [interval] = bootstrap(&parts, mean);
        let half = 1.96 * 5.766 / 20.0;
        assert!(
            (interval.low - (9.5 - half)).abs() < 0.1 && (interval.high - (9.5 + half)).abs() < 0.1,
            "{interval:?}"
        );
        assert_eq!(bootstrap(&parts, mean), [interval], "drawn alike each time");
    }

    #[test]
    fn one_row_says_nothing_about_others() {
        assert!(!bootstrap(&[1.0], mean)[0].is_known());
        assert_eq!(bootstrap(&[2.0; 5], mean)[0], Interval { low: 2.0, high: 2.0 });
    }
}
