//! What a caller may choose about a training run; the words of the command line, the YAML and the script.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::train::{AdamWOptions, Schedule, ScheduleKind};

/// The options of a [`Trainer`](crate::train::Trainer).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// Peak learning rate.
    pub lr: f64,
    /// Rows in a micro-batch.
    pub batch_size: usize,
    /// Micro-batches in a step.
    pub gradient_accumulation_steps: usize,
    /// Steps of the run.
    pub max_steps: u64,
    /// Shape of the learning rate.
    pub schedule: ScheduleKind,
    /// Steps over which the schedule is laid (`max_steps` when absent).
    pub schedule_steps: Option<u64>,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Learning rate at the end of the schedule.
    pub min_lr: f64,
    /// Gradients are clipped to this norm; 0 clips nothing.
    pub max_grad_norm: f64,
    /// Decay of the moments.
    pub betas: (f64, f64),
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Steps between measurements of the held-out loss; 0 never.
    pub eval_every: u64,
    /// Batches of one measurement (the whole split when absent).
    pub eval_batches: Option<usize>,
    /// Steps between checkpoints; 0 only at the end.
    pub checkpoint_every: u64,
    /// Checkpoints kept.
    pub save_total_limit: Option<usize>,
    /// Folder of the run; nothing is written when absent.
    pub out: Option<std::path::PathBuf>,
    /// Seed of the order of batches and of dropout.
    pub seed: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            lr: 2e-4,
            batch_size: 4,
            gradient_accumulation_steps: 1,
            max_steps: 100,
            schedule: ScheduleKind::Cosine,
            schedule_steps: None,
            warmup_steps: 0,
            min_lr: 0.0,
            max_grad_norm: 1.0,
            betas: (0.9, 0.999),
            weight_decay: 0.0,
            eval_every: 0,
            eval_batches: None,
            checkpoint_every: 0,
            save_total_limit: None,
            out: None,
            seed: 0,
        }
    }
}

impl TrainOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the option and its value.
    pub fn validate(&self) -> Result<()> {
        let at_least_one = [
            ("batch_size", Some(self.batch_size as u64)),
            ("gradient_accumulation_steps", Some(self.gradient_accumulation_steps as u64)),
            ("max_steps", Some(self.max_steps)),
            ("schedule_steps", self.schedule_steps),
            ("eval_batches", self.eval_batches.map(|n| n as u64)),
            ("save_total_limit", self.save_total_limit.map(|n| n as u64)),
        ];
        if let Some((name, _)) = at_least_one.iter().find(|(_, value)| *value == Some(0)) {
            return Err(Error::mistake(format!("{name} must be at least 1, not 0")));
        }
        if !(self.max_grad_norm.is_finite() && self.max_grad_norm >= 0.0) {
            let message = format!("max_grad_norm must be at least 0, not {}", self.max_grad_norm);
            return Err(Error::mistake(message).with_hint("0 clips nothing"));
        }
        let Schedule { peak, warmup, total, min, .. } = self.plan();
        if !(min.is_finite() && (0.0..=peak).contains(&min)) {
            return Err(Error::mistake(format!("min_lr must lie between 0 and lr ({peak}), not be {min}")));
        }
        if self.schedule != ScheduleKind::Constant && warmup >= total {
            return Err(Error::mistake(format!("warmup_steps must be less than the steps: {warmup} of {total}"))
                .with_hint("warm up for a few percent of the steps"));
        }
        self.adamw().validate()
    }

    /// The learning rate over the run.
    pub fn plan(&self) -> Schedule {
        Schedule {
            kind: self.schedule,
            peak: self.lr,
            warmup: self.warmup_steps,
            total: self.schedule_steps.unwrap_or(self.max_steps),
            min: self.min_lr,
        }
    }

    /// The options of the run's optimizer.
    pub fn adamw(&self) -> AdamWOptions {
        AdamWOptions { lr: self.lr, betas: self.betas, weight_decay: self.weight_decay, ..AdamWOptions::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        TrainOptions::default().validate().expect("defaults");
    }

    #[test]
    fn an_option_out_of_range_is_named_with_its_value() {
        let base = TrainOptions::default;
        for (options, word) in [
            (TrainOptions { lr: -1.0, ..base() }, "-1"),
            (TrainOptions { batch_size: 0, ..base() }, "batch_size"),
            (TrainOptions { gradient_accumulation_steps: 0, ..base() }, "gradient_accumulation_steps"),
            (TrainOptions { max_steps: 0, ..base() }, "max_steps"),
            (TrainOptions { warmup_steps: 100, ..base() }, "100 of 100"),
            (TrainOptions { min_lr: 1.0, ..base() }, "min_lr"),
            (TrainOptions { max_grad_norm: f64::NAN, ..base() }, "max_grad_norm"),
            (TrainOptions { betas: (0.9, 1.0), ..base() }, "betas"),
            (TrainOptions { weight_decay: -0.1, ..base() }, "weight_decay"),
            (TrainOptions { save_total_limit: Some(0), ..base() }, "save_total_limit"),
        ] {
            let error = options.validate().expect_err(word);
            assert!(error.message().contains(word), "{error}");
        }
    }
}
