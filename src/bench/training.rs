//! Benchmark of training steps on one batch.

use std::time::Instant;

use super::median;
use crate::allocator::give_back_freed_memory;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::nn::{ForwardCtx, Model, Precision};
use crate::progress::Progress;
use crate::train::{AdamW, AdamWOptions, Grads, peak_memory, reset_peak_memory};

/// The settings of a training benchmark.
#[derive(Debug, Clone)]
pub struct Training {
    /// Steps that are measured.
    pub steps: usize,
    /// Warm-up steps before them.
    pub warmup: usize,
    /// The number format of matrix products.
    pub precision: Precision,
}

/// The result of a training benchmark.
#[derive(Debug, Clone)]
pub struct Trained {
    /// All ids of the batch a second, padding included.
    pub tokens_per_second: f64,
    /// Median time of a step, seconds.
    pub seconds: f64,
    /// The loss before each step, warm-up included, in nats a token.
    pub losses: Vec<f64>,
    /// Peak memory during the measured steps, in bytes; `None` where the system does not report it.
    pub peak_memory: Option<u64>,
}

/// Measures training steps on one batch: forward, loss, backward, clipping to a norm of 1 and AdamW.
///
/// # Errors
/// A model without trainable weights, a batch that does not fit the model; `interrupted`, when the user cancels.
pub fn training(
    model: &Model,
    batch: &Batch,
    adamw: &AdamWOptions,
    how: &Training,
    progress: &Progress,
) -> Result<Trained> {
    if how.steps == 0 {
        return Err(Error::mistake("steps must be at least 1"));
    }
    give_back_freed_memory();
    let parameters = model.parameters();
    let mut optimizer = AdamW::new(parameters.clone(), adamw.clone())?;
    let mut task = progress.task("training", Some((how.steps + how.warmup) as u64), "steps");
    let (mut losses, mut times) = (Vec::new(), Vec::new());
    for step in 0..how.warmup + how.steps {
        if step == how.warmup {
            reset_peak_memory(model.device());
        }
        let begun = Instant::now();
        let pass = ForwardCtx {
            dropout_seed: Some(step as u64),
            precision: how.precision,
            interrupt: progress.interrupt().clone(),
            ..ForwardCtx::default()
        };
        let (loss, tape) = model.taped_loss(batch, &pass)?;
        let grads = Grads::backward_consuming(tape, &loss, 1.0, &parameters)?;
        // Read after the backward pass is queued: on a GPU the host waits here.
        let value = f64::from(loss.to_scalar::<f32>()?);
        let norm = grads.norm()?;
        optimizer.step(&grads.clip_from(norm, 1.0)?)?;
        times.push(begun.elapsed().as_secs_f64());
        losses.push(value);
        task.advance(1)?;
    }
    let seconds = median(times.split_off(how.warmup));
    let tokens_per_second = (batch.rows * batch.width) as f64 / seconds;
    Ok(Trained { tokens_per_second, seconds, losses, peak_memory: peak_memory(model.device()) })
}
