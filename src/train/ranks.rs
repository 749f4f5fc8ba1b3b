//! Data-parallel steps over several ranks.
//!
//! The batches of a step form one sequence, for any number of ranks, and rank `r` takes the `r`-th stretch of it. Each
//! rank knows the number of labels in all of them and weights its own by that, so that the sum over the ranks is the
//! step that one rank would take over all batches. Weights, moments and schedule are the same everywhere and stay so,
//! since every rank has the same sum.

use candle_core::Tensor;

use crate::data::Batch;
use crate::error::{Error, Result};
use crate::nn::ForwardCtx;
use crate::progress::Progress;
use crate::train::loss::counts;
use crate::train::parallel::{Outbox, StepPart, summed};
use crate::train::trainer::{dropout_seed, nothing_to_learn};
use crate::train::{Grads, Trainer};

impl Trainer {
    /// The loss of a step and its gradients over all ranks.
    pub(super) fn gradients_of_ranks(
        &mut self,
        number: u64,
        batches: &[Batch],
        progress: &Progress,
    ) -> Result<(f64, Grads)> {
        let counted: usize = batches.iter().map(counts).sum();
        if counted == 0 {
            return Err(nothing_to_learn(number));
        }
        let group = self.group.clone();
        let each = self.options.gradient_accumulation_steps;
        let first = group.rank() * each;
        let mine = &batches[first.min(batches.len())..(first + each).min(batches.len())];
        let interrupt = group.brake(progress.interrupt()).clone();
        let pass = |micro: usize| {
            let seed = dropout_seed(self.options.seed, number, (first + micro) as u64);
            let precision = self.options.mixed_precision.precision();
            ForwardCtx { dropout_seed: Some(seed), precision, interrupt: interrupt.clone(), ..ForwardCtx::default() }
        };
        let (done, sums) = summed(&group, &self.parameters, |outbox| self.own_part(mine, counted, &pass, outbox))?;
        let part = match done {
            Ok(loss) if loss.is_finite() => StepPart::Done(loss),
            Ok(loss) => StepPart::NoNumber(loss),
            Err(error) if error.is_interrupted() => match group.trouble() {
                Some(trouble) => return Err(trouble),
                None => StepPart::Stopped,
            },
            Err(error) => return Err(error),
        };
        let before = self.history.last().map_or(0.0, |step| step.grad_norm);
        match group.verdict(part, number, before)? {
            StepPart::Done(loss) => Ok((loss, Grads::of_parameters(&self.parameters, sums))),
            StepPart::Stopped => Err(Error::interrupted()),
            StepPart::NoNumber(value) => Err(self.no_number("loss", number, value)),
        }
    }

    /// This rank's share of the loss; its gradients are sent as they become final.
    fn own_part(
        &self,
        batches: &[Batch],
        counted: usize,
        pass: &dyn Fn(usize) -> ForwardCtx,
        outbox: &mut Outbox<'_>,
    ) -> Result<f64> {
        let again = self.options.gradient_checkpointing;
        let mut sums: Vec<Option<Tensor>> = vec![None; self.parameters.len()];
        let mut loss = 0.0;
        let micros: Vec<(usize, &Batch)> = batches.iter().enumerate().filter(|(_, batch)| counts(batch) > 0).collect();
        for (turn, (micro, batch)) in micros.iter().enumerate() {
            let (pass, last) = (pass(*micro), turn + 1 == micros.len());
            pass.interrupt.check()?;
            let share = counts(batch) as f64 / counted as f64;
            let mean = self.model.stream_gradients(batch, &pass, again, &mut |place, gradient| {
                let gradient = (gradient * share)?;
                let sum = match sums[place].take() {
                    Some(sum) => (sum + gradient)?,
                    None => gradient,
                };
                if last {
                    outbox.put(place, sum)
                } else {
                    sums[place] = Some(sum);
                    Ok(())
                }
            })?;
            loss += share * f64::from(mean.to_scalar::<f32>()?);
        }
        // Parameters that an earlier micro-batch reached and the last one did not.
        for (place, sum) in sums.into_iter().enumerate() {
            if let Some(sum) = sum {
                outbox.put(place, sum)?;
            }
        }
        Ok(loss)
    }
}
