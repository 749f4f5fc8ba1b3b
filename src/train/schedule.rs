//! Learning-rate schedules.
//!
//! Warm-up is linear and never has a rate of 0: with `w` steps of it, step `s < w` has `peak · (s + 1) / (w + 1)` and
//! step `w` has `peak` itself. After it, with `p = (s − w) / (total − w)`: cosine `min + (peak − min) · (1 + cos πp) /
//! 2`, linear `peak + (min − peak) · p`, constant `peak`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The shape after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// Half a cosine from peak to min.
    #[default]
    Cosine,
    /// A straight line from peak to min.
    Linear,
    /// Constant at peak.
    Constant,
}

impl ScheduleKind {
    /// The names of all kinds.
    pub const NAMES: [&'static str; 3] = ["cosine", "linear", "constant"];
}

impl std::str::FromStr for ScheduleKind {
    type Err = Error;

    /// # Errors
    /// An unknown name is refused with the nearest known one.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "cosine" => Ok(Self::Cosine),
            "linear" => Ok(Self::Linear),
            "constant" => Ok(Self::Constant),
            _ => Err(Error::unknown("schedule", name, &Self::NAMES)),
        }
    }
}

/// Linear warm-up to `peak` over `warmup` steps, then the shape down to `min` at `total`, then `min`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// The shape.
    pub kind: ScheduleKind,
    /// Highest learning rate, reached at step `warmup`.
    pub peak: f64,
    /// Steps of warm-up.
    pub warmup: u64,
    /// The step at which `min` is reached.
    pub total: u64,
    /// Lowest learning rate.
    pub min: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { kind: ScheduleKind::Cosine, peak: 1e-3, warmup: 0, total: 1000, min: 0.0 }
    }
}

impl Schedule {
    /// The learning rate of a step, the first being 0.
    ///
    /// ```
    /// use etude::train::Schedule;
    ///
    /// let schedule = Schedule { peak: 1.0, warmup: 3, total: 13, ..Schedule::default() };
    /// assert_eq!((schedule.at(0), schedule.at(3), schedule.at(13)), (0.25, 1.0, 0.0));
    /// assert!((schedule.at(8) - 0.5).abs() < 1e-12); // half of the cosine
    /// ```
    pub fn at(&self, step: u64) -> f64 {
        let (warmup, span) = (self.warmup, self.total.saturating_sub(self.warmup));
        if step < warmup {
            return self.peak * (step + 1) as f64 / (warmup + 1) as f64;
        }
        if step == warmup || self.kind == ScheduleKind::Constant {
            return self.peak;
        }
        if step >= self.total {
            return self.min;
        }
        let progress = (step - warmup) as f64 / span as f64;
        match self.kind {
            ScheduleKind::Cosine => {
                self.min + (self.peak - self.min) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            ScheduleKind::Linear => self.peak + (self.min - self.peak) * progress,
            ScheduleKind::Constant => self.peak,
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the option and its value.
    pub fn validate(&self) -> Result<()> {
        let Self { kind, peak, warmup, total, min } = *self;
        if !(peak.is_finite() && peak >= 0.0) {
            return Err(Error::mistake(format!("peak must be a learning rate of at least 0, not {peak}")));
        }
        if !(min.is_finite() && (0.0..=peak).contains(&min)) {
            return Err(Error::mistake(format!("min must lie between 0 and peak ({peak}), not be {min}")));
        }
        if kind != ScheduleKind::Constant && warmup >= total {
            return Err(Error::mistake(format!("warmup must be less than total: {warmup} steps of {total}"))
                .with_hint("warm up for a few percent of the steps"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_rises_to_the_peak_and_the_shape_falls_to_the_minimum() {
        for (kind, min) in [(ScheduleKind::Cosine, 0.0), (ScheduleKind::Linear, 0.0), (ScheduleKind::Cosine, 1e-5)] {
            let plan = Schedule { kind, peak: 1e-3, warmup: 5, total: 40, min };
            plan.validate().expect("sane");
            assert!(plan.at(0) > 0.0);
            for step in 0..5 {
                assert!(plan.at(step) < plan.at(step + 1), "{kind:?} at {step}");
            }
            assert_eq!(plan.at(5), 1e-3);
            for step in 5..39 {
                assert!(plan.at(step) > plan.at(step + 1), "{kind:?} at {step}");
            }
            assert_eq!(plan.at(40), min);
            assert_eq!(plan.at(1_000_000), min);
        }
    }

    #[test]
    fn halfway_is_the_mean_of_peak_and_minimum() {
        for kind in [ScheduleKind::Cosine, ScheduleKind::Linear] {
            let plan = Schedule { kind, peak: 3.0, warmup: 0, total: 10, min: 1.0 };
            assert!((plan.at(5) - 2.0).abs() < 1e-12);
            assert_eq!(plan.at(0), 3.0);
        }
    }

    #[test]
    fn constant_stays_at_the_peak() {
        let plan = Schedule { kind: ScheduleKind::Constant, peak: 0.1, warmup: 2, total: 4, min: 0.0 };
        assert!(plan.at(1) < 0.1);
        assert_eq!((plan.at(2), plan.at(4), plan.at(900)), (0.1, 0.1, 0.1));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let refused = |plan: Schedule| plan.validate().expect_err("must be refused").message().to_owned();
        assert!(refused(Schedule { warmup: 40, total: 40, ..Schedule::default() }).contains("40 steps of 40"));
        assert!(refused(Schedule { min: 1.0, ..Schedule::default() }).starts_with("min"));
        assert!(refused(Schedule { peak: f64::NAN, ..Schedule::default() }).contains("NaN"));
        let error = "cosinus".parse::<ScheduleKind>().expect_err("must be refused");
        assert!(error.hint().is_some_and(|h| h.contains("cosine")), "{error}");
    }
}
