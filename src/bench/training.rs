//! Training steps on one batch.

use std::time::Instant;

use super::median;
use crate::allocator::give_back_freed_memory;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::nn::{ForwardCtx, Model, Precision};
use crate::progress::Progress;
use crate::train::{AdamW, AdamWOptions, Grads, peak_memory, reset_peak_memory};

/// What is measured.
#[derive(Debug, Clone)]
pub struct Training {
    /// Steps that count.
    pub steps: usize,
    /// Steps before them.
    pub warmup: usize,
    /// The number format of products.
    pub precision: Precision,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Trained {
    /// All ids of the batch, padding too.
    pub tokens_per_second: f64,
    /// Median time of a step, seconds.
    pub seconds: f64,
    /// Losses before each step, warm-up included, nats a token.
    pub losses: Vec<f64>,
    /// The most memory while the steps counted, bytes; `None` where the system does not say.
    pub peak_memory: Option<u64>,
}

/// Forward, loss, backward, clipping to a norm of 1 and AdamW, again and again on one batch; the model learns it.
///
/// # Errors
/// A model in which nothing trains, a batch that does not fit it; `interrupted`, when the user cancels.
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
        let grads = Grads::rewind(tape, &loss, 1.0, &parameters)?;
        // Read when the way back is on its way, too: on a GPU the host waits here.
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
