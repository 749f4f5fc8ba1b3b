//! Learning-rate schedules, equal to those of `transformers`.
//!
//! Warm-up is linear and never has a rate of 0: with `w` steps of it, step `s < w` has `peak · (s + 1) / (w + 1)` and
//! step `w` has `peak` itself. After it, with `p = (s − w) / (total − w)` and `fall(p) = (1 + cos πp) / 2`:
//!
//! | kind | rate |
//! |---|---|
//! | `cosine` | `min + (peak − min) · fall(p)` |
//! | `cosine_with_restarts` | the same with the fraction of `num_cycles · p` (Loshchilov & Hutter 2017, SGDR) |
//! | `linear` | `peak + (min − peak) · p` |
//! | `polynomial` | `min + (peak − min) · (1 − p)^power` |
//! | `wsd` | `peak`, then `cosine` over the last `num_decay_steps` (Hu et al. 2024, MiniCPM) |
//! | `inverse_sqrt` | `peak · √(w / s)`, where `w` is 10,000 without a warm-up (Vaswani et al. 2017); no less than `min` |
//! | `constant` | `peak` |

use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The shape after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Half a cosine from peak to min.
    #[default]
    Cosine,
    /// Several of them, each from peak on.
    CosineWithRestarts,
    /// A straight line from peak to min.
    Linear,
    /// A power of it.
    Polynomial,
    /// Constant, then half a cosine to min.
    Wsd,
    /// By the root of the steps.
    InverseSqrt,
    /// Constant at peak.
    Constant,
}

impl ScheduleKind {
    /// The names of all kinds.
    pub const NAMES: [&'static str; 7] =
        ["cosine", "cosine_with_restarts", "linear", "polynomial", "wsd", "inverse_sqrt", "constant"];

    /// Whether it reaches its end at a step.
    pub(crate) fn has_end(self) -> bool {
        !matches!(self, Self::Constant | Self::InverseSqrt)
    }
}

impl std::str::FromStr for ScheduleKind {
    type Err = Error;

    /// # Errors
    /// An unknown name is refused with the nearest known one.
    fn from_str(name: &str) -> Result<Self> {
        let read = Self::deserialize(IntoDeserializer::<serde::de::value::Error>::into_deserializer(name));
        read.map_err(|_| Error::unknown("schedule", name, &Self::NAMES))
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
    /// Cosines of `cosine_with_restarts`.
    pub num_cycles: u64,
    /// Exponent of `polynomial`.
    pub power: f64,
    /// The steps of the fall of `wsd` (a fifth of those after the warm-up when absent).
    pub num_decay_steps: Option<u64>,
}

/// The steps that count as the warm-up of `inverse_sqrt` where there is none.
const UNWARMED: u64 = 10_000;

impl Default for Schedule {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Cosine,
            peak: 1e-3,
            warmup: 0,
            total: 1000,
            min: 0.0,
            num_cycles: 1,
            power: 1.0,
            num_decay_steps: None,
        }
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
        if self.kind == ScheduleKind::InverseSqrt {
            let scale = if warmup == 0 { UNWARMED } else { warmup };
            return (self.peak * (scale as f64 / (step + scale - warmup) as f64).sqrt()).max(self.min);
        }
        if step >= self.total {
            return self.min;
        }
        let progress = (step - warmup) as f64 / span as f64;
        let fall = |progress: f64| 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        let share = match self.kind {
            ScheduleKind::Linear => return self.peak + (self.min - self.peak) * progress,
            ScheduleKind::Cosine => fall(progress),
            ScheduleKind::CosineWithRestarts => fall((self.num_cycles as f64 * progress).fract()),
            ScheduleKind::Polynomial => (1.0 - progress).powf(self.power),
            ScheduleKind::Wsd => {
                let decay = self.num_decay_steps.unwrap_or(span.div_ceil(5));
                let falling = (step + decay).saturating_sub(self.total);
                fall(falling as f64 / decay.max(1) as f64)
            }
            ScheduleKind::Constant | ScheduleKind::InverseSqrt => 1.0,
        };
        self.min + (self.peak - self.min) * share
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the option and its value.
    pub fn validate(&self) -> Result<()> {
        let Self { kind, peak, warmup, total, min, num_cycles, power, num_decay_steps } = *self;
        if !(peak.is_finite() && peak >= 0.0) {
            return Err(Error::mistake(format!("peak must be a learning rate of at least 0, not {peak}")));
        }
        if !(min.is_finite() && (0.0..=peak).contains(&min)) {
            return Err(Error::mistake(format!("min must lie between 0 and peak ({peak}), not be {min}")));
        }
        if kind.has_end() && warmup >= total {
            return Err(Error::mistake(format!("warmup must be less than total: {warmup} steps of {total}"))
                .with_hint("warm up for a few percent of the steps"));
        }
        if num_cycles == 0 {
            return Err(Error::mistake("num_cycles must be at least 1, not 0"));
        }
        if !(power.is_finite() && power > 0.0) {
            return Err(Error::mistake(format!("power must be above 0, not {power}")).with_hint("1 is a straight line"));
        }
        let left = total.saturating_sub(warmup);
        match num_decay_steps {
            Some(decay) if kind == ScheduleKind::Wsd && decay > left => Err(Error::mistake(format!(
                "num_decay_steps is {decay}, but only {left} steps are left after the warm-up"
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_rises_to_the_peak_and_the_shape_falls_to_the_minimum() {
        use ScheduleKind::{Cosine, Linear, Polynomial};
        for (kind, min) in [(Cosine, 0.0), (Linear, 0.0), (Cosine, 1e-5), (Polynomial, 1e-5)] {
            let plan = Schedule { kind, peak: 1e-3, warmup: 5, total: 40, min, ..Schedule::default() };
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
            let plan = Schedule { kind, peak: 3.0, warmup: 0, total: 10, min: 1.0, ..Schedule::default() };
            assert!((plan.at(5) - 2.0).abs() < 1e-12);
            assert_eq!(plan.at(0), 3.0);
        }
    }

    #[test]
    fn constant_stays_at_the_peak() {
        let kind = ScheduleKind::Constant;
        let plan = Schedule { kind, peak: 0.1, warmup: 2, total: 4, min: 0.0, ..Schedule::default() };
        assert!(plan.at(1) < 0.1);
        assert_eq!((plan.at(2), plan.at(4), plan.at(900)), (0.1, 0.1, 0.1));
    }

    /// The rates of `transformers` 5.23 (`get_scheduler`, `get_wsd_schedule`), 20 steps with a peak of 1.
    #[test]
    fn the_shapes_are_those_of_transformers() {
        let plan = |kind, warmup| Schedule { kind, peak: 1.0, warmup, total: 20, ..Schedule::default() };
        let near = |plan: Schedule, rates: &[(u64, f64)]| {
            plan.validate().expect("sane");
            for &(step, rate) in rates {
                assert!((plan.at(step) - rate).abs() < 1e-9, "{:?} at {step}: {}", plan.kind, plan.at(step));
            }
        };
        let restarts = Schedule { num_cycles: 2, ..plan(ScheduleKind::CosineWithRestarts, 4) };
        near(restarts, &[(4, 1.0), (8, 0.5), (11, 0.038_060_233_744), (12, 1.0), (16, 0.5), (20, 0.0)]);
        let square = Schedule { power: 2.0, min: 0.1, ..plan(ScheduleKind::Polynomial, 4) };
        near(square, &[(4, 1.0), (12, 0.325), (19, 0.103_515_625), (20, 0.1), (30, 0.1)]);
        near(plan(ScheduleKind::InverseSqrt, 4), &[(4, 1.0), (16, 0.5), (400, 0.1)]);
        near(plan(ScheduleKind::InverseSqrt, 0), &[(0, 1.0), (30_000, 0.5)]);
        let stable = Schedule { num_decay_steps: Some(8), min: 0.1, ..plan(ScheduleKind::Wsd, 4) };
        near(stable, &[(4, 1.0), (12, 1.0), (16, 0.55), (20, 0.1), (21, 0.1)]);
        near(plan(ScheduleKind::Wsd, 5), &[(17, 1.0), (18, 0.75), (19, 0.25), (20, 0.0)]);
    }

    #[test]
    fn every_kind_is_read_by_its_name() {
        use ScheduleKind::{Constant, Cosine, CosineWithRestarts, InverseSqrt, Linear, Polynomial, Wsd};
        let kinds = [Cosine, CosineWithRestarts, Linear, Polynomial, Wsd, InverseSqrt, Constant];
        for (kind, name) in kinds.into_iter().zip(ScheduleKind::NAMES) {
            assert_eq!(name.parse::<ScheduleKind>().expect("a name"), kind);
            assert_eq!(serde_json::to_value(kind).expect("a word"), name);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let refused = |plan: Schedule| plan.validate().expect_err("must be refused").message().to_owned();
        assert!(refused(Schedule { warmup: 40, total: 40, ..Schedule::default() }).contains("40 steps of 40"));
        assert!(refused(Schedule { min: 1.0, ..Schedule::default() }).starts_with("min"));
        assert!(refused(Schedule { num_cycles: 0, ..Schedule::default() }).contains("num_cycles"));
        assert!(refused(Schedule { power: 0.0, ..Schedule::default() }).contains("power"));
        let (kind, num_decay_steps) = (ScheduleKind::Wsd, Some(1001));
        assert!(refused(Schedule { kind, num_decay_steps, ..Schedule::default() }).contains("1001"));
        assert!(refused(Schedule { peak: f64::NAN, ..Schedule::default() }).contains("NaN"));
        let error = "cosinus".parse::<ScheduleKind>().expect_err("must be refused");
        assert!(error.hint().is_some_and(|h| h.contains("cosine")), "{error}");
    }
}
