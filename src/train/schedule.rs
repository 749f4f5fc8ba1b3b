//! The learning rate as a function of the step.

use serde::{Deserialize, Serialize};

/// The shape after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// Half a cosine from peak to min.
    #[default]
    Cosine,
    /// A straight line from peak to min.
    Linear,
    /// Peak for ever.
    Constant,
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
    pub fn at(&self, _step: u64) -> f64 {
        todo!()
    }
}
