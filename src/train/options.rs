//! What a caller may choose about a training run; the words of the command line, the YAML and the script.

use serde::{Deserialize, Serialize};

use crate::train::ScheduleKind;

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
