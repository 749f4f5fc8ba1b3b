//! `Step`: the record of one training step.

use serde::{Deserialize, Serialize};

/// The record of one training step.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Step {
    /// The step, the first being 1.
    pub step: u64,
    /// Mean training loss over its micro-batches, nats a token.
    pub loss: f64,
    /// Learning rate it used.
    pub lr: f64,
    /// Norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Training speed, padding left out.
    pub tokens_per_second: f64,
    /// Held-out loss, when it was measured after this step.
    pub val_loss: Option<f64>,
}
