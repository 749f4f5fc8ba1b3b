//! The training loop, a step at a time or to the end.

use crate::data::Dataset;
use crate::error::Result;
use crate::nn::Model;
use crate::progress::Progress;
use crate::train::TrainOptions;

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The step, the first being 1.
    pub step: u64,
    /// Mean training loss over its micro-batches, nats a token.
    pub loss: f64,
    /// Learning rate it used.
    pub lr: f64,
    /// Norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Training speed.
    pub tokens_per_second: f64,
    /// Held-out loss, when it was measured after this step.
    pub val_loss: Option<f64>,
}

/// A model, data, an optimizer and a schedule, and how far they have come.
#[derive(Debug)]
pub struct Trainer {}

impl Trainer {
    /// A run that has not begun.
    ///
    /// # Errors
    /// Refuses options out of range and a model in which nothing trains.
    pub fn new(_model: Model, _data: Dataset, _options: TrainOptions) -> Result<Self> {
        todo!()
    }

    /// One step: micro-batches, backward, clip, update. A stop in the middle leaves everything as it was before.
    ///
    /// # Errors
    /// A loss that is not finite, or a stop.
    pub fn step(&mut self, _progress: &Progress) -> Result<Step> {
        todo!()
    }

    /// Steps until `max_steps`, measuring and saving on the way.
    ///
    /// # Errors
    /// See [`Trainer::step`]; what was done is kept, and `fit` goes on from there when called again.
    pub fn fit(&mut self, _progress: &Progress) -> Result<()> {
        todo!()
    }

    /// Held-out loss now.
    ///
    /// # Errors
    /// See [`held_out_loss`](crate::train::held_out_loss).
    pub fn evaluate(&self, _progress: &Progress) -> Result<f64> {
        todo!()
    }

    /// All steps so far.
    pub fn history(&self) -> &[Step] {
        todo!()
    }

    /// The model it trains.
    pub fn model(&self) -> &Model {
        todo!()
    }

    /// Writes the model to the run's folder.
    ///
    /// # Errors
    /// Refuses a run without a folder.
    pub fn save(&self) -> Result<()> {
        todo!()
    }
}
