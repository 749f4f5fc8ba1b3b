//! The held-out loss.

use crate::data::{Batch, IGNORE, Split};
use crate::error::{Error, Result};
use crate::nn::{ForwardCtx, Model};
use crate::progress::Progress;
use crate::train::parallel::Group;

/// Mean loss (nats a token) over a split, all tokens weighted equally; at most `batches` batches of `rows` rows.
///
/// # Errors
/// An empty split; `interrupted`, when the user cancels.
pub fn held_out_loss(
    model: &Model,
    split: &Split,
    rows: usize,
    batches: Option<usize>,
    progress: &Progress,
) -> Result<f64> {
    held_out_loss_of(&Group::single(), model, split, rows, batches, progress)
}

/// [`held_out_loss`], measured by all ranks of a group: each takes every n-th batch, and all get the same result, equal
/// to that of one rank to the bit.
pub(super) fn held_out_loss_of(
    group: &Group,
    model: &Model,
    split: &Split,
    rows: usize,
    batches: Option<usize>,
    progress: &Progress,
) -> Result<f64> {
    let rows = rows.max(1);
    let batches = split.len().div_ceil(rows).min(batches.unwrap_or(usize::MAX));
    let measured = own(group, model, split.in_order(rows).take(batches), batches, progress);
    if let Err(error) = &measured
        && !error.is_interrupted()
    {
        group.fail(error.message());
    }
    // A cancelled rank says so; the others wait for its numbers.
    let (stopped, mine) = match measured {
        Ok(mine) => (0, mine),
        Err(error) if error.is_interrupted() && !group.is_single() => (1, Vec::new()),
        Err(error) => return Err(error),
    };
    let (mut words, most) = (vec![f64::from(stopped)], batches.div_ceil(group.world_size()));
    words.extend((0..most).flat_map(|place| mine.get(place).copied().unwrap_or_default()));
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let all = group.gather(&bytes)?;
    let all: Vec<Vec<f64>> = all.iter().map(|bytes| numbers(bytes)).collect();
    if all.iter().any(|counts| counts[0] > 0.0) {
        return Err(group.trouble().unwrap_or_else(Error::interrupted));
    }
    let (mut sum, mut counted) = (0.0, 0.0);
    for place in 0..batches {
        let (rank, turn) = (place % all.len(), place / all.len());
        let (labels, loss) = (all[rank][1 + 2 * turn], all[rank][2 + 2 * turn]);
        if labels > 0.0 {
            sum += labels * loss;
            counted += labels;
        }
    }
    if counted == 0.0 {
        return Err(Error::mistake("there is nothing to measure the loss on")
            .with_hint("hold pieces out when you build the dataset: val: 0.1"));
    }
    Ok(sum / counted)
}

/// This rank's batches: the number of labels of each, and their mean loss.
fn own(
    group: &Group,
    model: &Model,
    all: impl Iterator<Item = Batch>,
    count: usize,
    progress: &Progress,
) -> Result<Vec<[f64; 2]>> {
    let pass = ForwardCtx { interrupt: group.brake(progress.interrupt()).clone(), ..ForwardCtx::default() };
    let mut task = progress.task("measuring", Some(count as u64), "batches");
    let mut measured = Vec::new();
    for (place, batch) in all.enumerate() {
        if place % group.world_size() == group.rank() {
            let labels = counts(&batch) as f64;
            let loss = if labels > 0.0 { model.loss_value(&batch, &pass)? } else { 0.0 };
            measured.push([labels, loss]);
        }
        pass.interrupt.check()?;
        let going = task.advance(1);
        if group.is_single() {
            going?;
        }
    }
    Ok(measured)
}

fn numbers(bytes: &[u8]) -> Vec<f64> {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|&word| f64::from_le_bytes(word)).collect()
}

/// The number of labels of a batch that are not ignored.
pub(crate) fn counts(batch: &Batch) -> usize {
    batch.labels.iter().filter(|&&label| label != IGNORE).count()
}
