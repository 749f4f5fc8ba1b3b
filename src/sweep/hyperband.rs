//! Stopping trials that lag behind: Hyperband (Li et al. 2018, arXiv:1603.06560) in the form that W&B's engine has.
//!
//! At certain counts of measurements, the bands, a trial is compared with all that came as far. With `n` of them, the
//! threshold of a band is the value of rank `⌊n / eta⌋` (the best has rank 0) at that band. A trial under way is stopped
//! when, at the last band it reached, it is worse than the threshold: its value at the band when `strict`, else its best
//! so far.
//!
//! ```text
//! min_iter        bands ⌊min_iter · etaᵏ⌋ for k = 0, 1, 2 …
//! max_iter, s     bands ⌊max_iter / etaᵏ⌋ for k = 1 … s, as long as they are 1 or more
//! ```

use serde_json::Value;

use super::keys::Keys;
use crate::error::{Error, Result};

const KEYS: [&str; 6] = ["type", "min_iter", "max_iter", "s", "eta", "strict"];
/// Bands of `min_iter`.
const BANDS: usize = 100;

/// The configuration of Hyperband.
#[derive(Debug, Clone, PartialEq)]
pub struct Hyperband {
    /// Counts of measurements, rising.
    pub bands: Vec<u64>,
    /// One in `eta` trials goes on.
    pub eta: f64,
    /// Whether the value at the band counts, not the best so far.
    pub strict: bool,
}

/// The measurements of a trial (lower is better), and whether it is running.
#[derive(Debug, Clone, Copy)]
pub struct Course<'a> {
    /// The measurements.
    pub values: &'a [f64],
    /// Whether it can be stopped.
    pub running: bool,
}

impl Hyperband {
    /// Reads the part `early_terminate` of a sweep.
    ///
    /// # Errors
    /// An unknown key or type, numbers out of range, and neither `min_iter` nor `max_iter` with `s`.
    pub(super) fn parse(value: &Value) -> Result<Self> {
        let keys = Keys::new("early_terminate", value, &KEYS)?;
        keys.need("type")?;
        keys.word("type", &["hyperband"])?;
        let eta = keys.real("eta", 3.0)?;
        if !(eta > 1.0 && eta.is_finite()) {
            return Err(keys.mistake(&format!("has eta {eta}")).with_hint("it must be above 1; 3 is usual"));
        }
        let strict = keys.switch("strict", true)?;
        let bands = match (keys.count("max_iter")?, keys.count("s")?, keys.count("min_iter")?) {
            (Some(most), Some(s), _) => falling(most as f64, s, eta),
            (_, _, Some(least)) => rising(least as f64, eta),
            _ => {
                return Err(keys
                    .mistake("has neither min_iter nor max_iter with s")
                    .with_hint("give it min_iter: N, or max_iter: N with s: K"));
            }
        };
        if bands.is_empty() {
            return Err(Error::mistake("early_terminate has no band: max_iter is less than eta")
                .with_hint("take a larger max_iter or a smaller eta"));
        }
        Ok(Self { bands, eta, strict })
    }

    /// The value at each band that a trial must not exceed; infinite where no trial came so far.
    pub fn thresholds(&self, courses: &[Course<'_>]) -> Vec<f64> {
        let kept: Vec<Vec<f64>> = courses.iter().map(|course| finite(course.values)).collect();
        let share = 1.0 / self.eta;
        let threshold = |&band: &u64| {
            let mut there: Vec<f64> = kept.iter().filter_map(|values| at(values, band)).collect();
            there.sort_by(f64::total_cmp);
            let rank = (share * there.len() as f64) as usize;
            there.get(rank).copied().unwrap_or(f64::INFINITY)
        };
        self.bands.iter().map(threshold).collect()
    }

    /// The indices of the trials to stop.
    pub fn stops(&self, courses: &[Course<'_>]) -> Vec<usize> {
        let thresholds = self.thresholds(courses);
        let lags = |course: &Course<'_>| {
            let values = finite(course.values);
            let reached = self.bands.iter().zip(&thresholds).take_while(|(band, _)| **band <= values.len() as u64);
            let Some((&band, &threshold)) = reached.last() else { return false };
            let best = || values.iter().copied().reduce(f64::min);
            let counts = if self.strict { at(&values, band) } else { best() };
            counts.is_some_and(|value| value > threshold)
        };
        let running = courses.iter().enumerate().filter(|(_, course)| course.running);
        running.filter(|(_, course)| lags(course)).map(|(place, _)| place).collect()
    }
}

/// Measurement number `band`, from 1.
fn at(values: &[f64], band: u64) -> Option<f64> {
    values.get(usize::try_from(band).ok()?.checked_sub(1)?).copied()
}

/// The measurements without those that are not finite.
fn finite(values: &[f64]) -> Vec<f64> {
    values.iter().copied().filter(|value| value.is_finite()).collect()
}

fn falling(most: f64, s: u64, eta: f64) -> Vec<u64> {
    let mut bands: Vec<u64> = (0..s)
        .scan(most, |band, _| {
            *band /= eta;
            Some(*band)
        })
        .take_while(|band| *band >= 1.0)
        .map(|band| band as u64)
        .collect();
    bands.sort_unstable();
    bands
}

fn rising(least: f64, eta: f64) -> Vec<u64> {
    let mut band = least;
    let next = |_| {
        let this = band as u64; // beyond u64::MAX it saturates; no trial comes that far
        band *= eta;
        this
    };
    (0..BANDS).map(next).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The example in the documentation of W&B's engine (`sweeps` 0.3.0, `stop_runs`): only `b` is stopped.
    #[test]
    fn the_engines_own_example() {
        let band = Hyperband::parse(&json!({ "type": "hyperband", "max_iter": 5, "eta": 2, "s": 2 })).expect("sound");
        assert_eq!((band.bands.clone(), band.strict), (vec![1, 2], true));
        let of = |values: &'static [f64], running| Course { values, running };
        let courses = [
            of(&[10.0, 9.0], false),
            of(&[10.0, 10.0], true),
            of(&[10.0, 8.0, 8.0], true),
            of(&[10.0, 7.0, 7.0], true),
            of(&[10.0, 6.0, 6.0], false),
        ];
        assert_eq!(band.thresholds(&courses), [10.0, 8.0]);
        assert_eq!(band.stops(&courses), [1]);
    }

    #[test]
    fn bands_rise_from_the_least_and_fall_from_the_most() {
        let bands = |value| Hyperband::parse(&value).expect("sound").bands;
        let rising = bands(json!({ "type": "hyperband", "min_iter": 3, "eta": 1.5 }));
        assert_eq!((rising.len(), &rising[..4]), (100, &[3, 4, 6, 10][..]));
        assert_eq!(bands(json!({ "type": "hyperband", "max_iter": 27, "s": 2 })), [3, 9]);
        assert_eq!(bands(json!({ "type": "hyperband", "max_iter": 27, "s": 9 })), [1, 3, 9]);
    }

    #[test]
    fn slips_are_named() {
        let refused = |value| Hyperband::parse(&value).expect_err("a slip").to_string();
        assert!(refused(json!({ "type": "hyperbnd", "min_iter": 1 })).contains("did you mean 'hyperband'"));
        assert!(refused(json!({ "type": "hyperband", "min_itr": 1 })).contains("did you mean 'min_iter'"));
        assert!(refused(json!({ "type": "hyperband", "max_iter": 9 })).contains("s: K"));
        assert!(refused(json!({ "type": "hyperband", "min_iter": 1, "eta": 1 })).contains("eta 1"));
        assert!(refused(json!({ "type": "hyperband", "min_iter": 0 })).contains("from 1 up"));
        assert!(refused(json!({ "type": "hyperband", "max_iter": 2, "s": 2 })).contains("no band"));
    }
}
