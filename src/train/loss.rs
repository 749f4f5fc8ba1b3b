//! The held-out loss.

use crate::data::{Batch, IGNORE, Split};
use crate::error::{Error, Result};
use crate::nn::{Model, Pass};
use crate::progress::Progress;

/// Mean loss (nats a token) over a split, each token counting once; at most `batches` batches of `rows` rows.
///
/// # Errors
/// An empty split, or a stop.
pub fn held_out_loss(
    model: &Model,
    split: &Split,
    rows: usize,
    batches: Option<usize>,
    progress: &Progress,
) -> Result<f64> {
    let pass = Pass { interrupt: progress.interrupt().clone(), ..Pass::default() };
    let rows = rows.max(1);
    let batches = split.len().div_ceil(rows).min(batches.unwrap_or(usize::MAX));
    let mut task = progress.task("measuring", Some(batches as u64), "batches");
    let (mut sum, mut counted) = (0.0, 0.0);
    for batch in split.in_order(rows).take(batches) {
        let labels = counts(&batch) as f64;
        if labels > 0.0 {
            sum += labels * f64::from(model.loss(&batch, &pass)?.to_scalar::<f32>()?);
            counted += labels;
        }
        task.advance(1)?;
    }
    if counted == 0.0 {
        return Err(Error::mistake("there is nothing to measure the loss on")
            .with_hint("hold pieces out when you build the dataset: val: 0.1"));
    }
    Ok(sum / counted)
}

/// The labels of a batch that count.
pub(crate) fn counts(batch: &Batch) -> usize {
    batch.labels.iter().filter(|&&label| label != IGNORE).count()
}
