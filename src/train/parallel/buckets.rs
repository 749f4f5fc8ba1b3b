//! Exchange of gradients between ranks, overlapped with backward.
//!
//! Backward goes through the blocks from the last to the first, and a block's gradients are final as soon as it is
//! done. They are packed into buckets in that order; a full bucket is summed over the ranks on a thread of its own
//! while the blocks below are computed. With gradient accumulation this is done in the last micro-batch, to which the
//! sums of the others are added. Only gradients of trainable parameters are exchanged: with adapters, those of the
//! adapters.

use std::sync::mpsc::{Sender, channel};

use candle_core::Tensor;

use super::Group;
use crate::error::{Error, Result};
use crate::nn::Parameter;

/// The values of a full bucket: enough to be worth a message, and several for each model.
const FULL: usize = 1 << 16;

/// Assigns parameters to buckets in the order in which their gradients become final: from the last to the first.
fn plan(sizes: &[usize], full: usize) -> Vec<Vec<usize>> {
    let (mut buckets, mut bucket, mut held) = (Vec::new(), Vec::new(), 0);
    for (place, size) in sizes.iter().enumerate().rev() {
        bucket.push(place);
        held += size;
        if held >= full || place == 0 {
            buckets.push(std::mem::take(&mut bucket));
            held = 0;
        }
    }
    buckets
}

/// Collects final gradients, and sends full buckets.
#[derive(Debug)]
pub(crate) struct Outbox<'a> {
    parameters: &'a [Parameter],
    plan: Vec<Vec<usize>>,
    ready: Vec<Option<Tensor>>,
    /// The next bucket; all ranks send them in the same order.
    next: usize,
    road: Sender<Tensor>,
}

impl Outbox<'_> {
    /// Adds the final gradient of a parameter.
    pub(crate) fn put(&mut self, place: usize, gradient: Tensor) -> Result<()> {
        self.ready[place] = Some(gradient);
        while self.plan.get(self.next).is_some_and(|bucket| bucket.iter().all(|&place| self.ready[place].is_some())) {
            self.send()?;
        }
        Ok(())
    }

    /// Sends the next bucket, with zeros for missing gradients.
    fn send(&mut self) -> Result<()> {
        let mut parts = Vec::new();
        for &place in &self.plan[self.next] {
            let flat = match self.ready[place].take() {
                Some(gradient) => gradient.detach().flatten_all()?,
                None => self.parameters[place].var.zeros_like()?.flatten_all()?,
            };
            parts.push(flat);
        }
        self.next += 1;
        // A closed channel means that the exchange has failed; its result says why.
        let _ = self.road.send(Tensor::cat(&parts, 0)?);
        Ok(())
    }
}

/// Runs `work`, which yields gradients, and sums them over the ranks at the same time: the result of `work`, and the
/// sums in the order of the parameters. When `work` fails, zeros replace missing gradients, so that no rank waits.
///
/// # Errors
/// Ranks that cannot continue.
pub(crate) fn summed<T>(
    group: &Group,
    parameters: &[Parameter],
    work: impl FnOnce(&mut Outbox<'_>) -> Result<T>,
) -> Result<(Result<T>, Vec<Tensor>)> {
    let sizes: Vec<usize> = parameters.iter().map(|parameter| parameter.var.elem_count()).collect();
    let plan = plan(&sizes, FULL);
    let (road, arrivals) = channel::<Tensor>();
    let (done, sums) = std::thread::scope(|scope| {
        let travel =
            scope.spawn(move || arrivals.into_iter().map(|bucket| group.sum(bucket)).collect::<Result<Vec<_>>>());
        let mut outbox = Outbox { parameters, plan: plan.clone(), ready: vec![None; sizes.len()], next: 0, road };
        let mut done = work(&mut outbox);
        if let Err(error) = &done
            && !error.is_interrupted()
        {
            group.fail(error.message());
        }
        while outbox.next < plan.len() {
            if let Err(error) = outbox.send() {
                group.fail(error.message());
                done = Err(error);
                break;
            }
        }
        drop(outbox);
        (done, travel.join().unwrap_or_else(|_| Err(Error::internal("the thread between the ranks has ended"))))
    });
    let sums = match (sums, done) {
        (Ok(sums), done) => (sums, done),
        // An error of this rank says more than that the others could not continue because of it.
        (Err(_), Err(own)) if !own.is_interrupted() => return Err(own),
        (Err(error), _) => return Err(error),
    };
    let (sums, done) = sums;
    let mut gradients: Vec<Option<Tensor>> = vec![None; sizes.len()];
    for (bucket, sum) in plan.iter().zip(sums) {
        let mut at = 0;
        for &place in bucket {
            gradients[place] =
                Some(sum.narrow(0, at, sizes[place])?.reshape(parameters[place].var.shape())?.contiguous()?);
            at += sizes[place];
        }
    }
    let whole = gradients.into_iter().collect::<Option<Vec<_>>>();
    Ok((done, whole.ok_or_else(|| Error::internal("a bucket is missing"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_every_parameter_once_from_the_last_to_the_first() {
        assert_eq!(plan(&[5, 1, 1, 7, 2], 3), [vec![4, 3], vec![2, 1, 0]]);
        assert_eq!(plan(&[5, 1, 1, 7, 2], 1), [vec![4], vec![3], vec![2], vec![1], vec![0]]);
        assert_eq!(plan(&[5, 1], 100), [vec![1, 0]]);
    }
}
