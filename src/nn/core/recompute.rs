//! Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): forward keeps only the input of each block, backward
//! runs each block once more, one at a time, each on a tape of its own.
//!
//! A block is a function of its input and of the context, dropout included, so that running it again gives the same
//! numbers, and the gradients are those without checkpointing.

use candle_core::{Tensor, TensorId};

use super::{Places, Transformer};
use crate::error::Result;
use crate::nn::{ForwardCtx, Tape, autograd};

/// Receives the gradient of a leaf, by its id, once it is final.
pub(crate) type Take<'a> = dyn FnMut(TensorId, Tensor) -> Result<()> + 'a;

/// Gradients that are summed before they are given away.
struct Sums<'a> {
    leaves: &'a [&'a Tensor],
    take: &'a mut Take<'a>,
    /// The embedding, which gets one gradient from each end of the model when the head is tied to it.
    embedding: Option<TensorId>,
    held: Option<Tensor>,
}

impl Sums<'_> {
    /// Records `work`, from `input` on.
    fn record(&self, input: &Tensor, work: impl FnOnce() -> Result<Tensor>) -> Result<(Tensor, Tape)> {
        let leaves: Vec<&Tensor> = self.leaves.iter().copied().chain([input]).collect();
        Tape::record(&leaves, work)
    }

    /// Runs backward from `y`, whose gradient is `dy`; gives the gradient of `input`.
    fn backward(&mut self, tape: Tape, y: &Tensor, dy: Tensor, input: &Tensor) -> Result<Option<Tensor>> {
        let mut below = None;
        tape.backward_consuming(y, dy, &mut |id, gradient| {
            if id == input.id() {
                below = Some(gradient);
            } else if self.embedding == Some(id) {
                self.held = Some(match self.held.take() {
                    Some(sum) => autograd::plain_sum(&sum, &gradient)?,
                    None => gradient,
                });
            } else {
                (self.take)(id, gradient)?;
            }
            Ok(())
        })?;
        Ok(below)
    }

    fn end(self) -> Result<()> {
        match (self.embedding, self.held) {
            (Some(id), Some(gradient)) => (self.take)(id, gradient),
            _ => Ok(()),
        }
    }
}

impl Transformer {
    /// The loss of tokens (batch, time); the gradients of `leaves` go to `take`, block by block from the last to the first.
    /// `loss` makes a scalar of the logits (batch, time, vocabulary).
    pub(crate) fn recomputed<'a>(
        &self,
        (tokens, places): (&Tensor, Places<'_>),
        ctx: &ForwardCtx,
        leaves: &'a [&'a Tensor],
        take: &'a mut Take<'a>,
        loss: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (still, recording) = (ctx.with_grad(false), ctx.with_grad(true));
        let blocks = &self.decoder.blocks;
        let mut inputs = Vec::with_capacity(blocks.len());
        let mut x = self.embed(tokens, places, &still)?; // (batch, time, hidden)
        for block in blocks {
            let y = block.forward(&x, places, None, &still)?;
            inputs.push(std::mem::replace(&mut x, y));
        }
        let embedding = self.embedding.var().map(|var| var.id());
        let mut sums = Sums { leaves, take, embedding, held: None };
        let (value, tape) = sums.record(&x, || loss(&self.logits(&x, &recording)?))?;
        let mut dy = sums.backward(tape, &value, value.ones_like()?, &x)?;
        drop(x);
        for (block, input) in blocks.iter().zip(inputs).rev() {
            let Some(gradient) = dy.take() else { break };
            let (y, tape) = sums.record(&input, || block.forward(&input, places, None, &recording))?;
            dy = sums.backward(tape, &y, gradient, &input)?;
        }
        if let Some(gradient) = dy.filter(|_| embedding.is_some()) {
            let (y, tape) = sums.record(tokens, || self.embed(tokens, places, &recording))?;
            sums.backward(tape, &y, gradient, tokens)?;
        }
        sums.end()?;
        Ok(value)
    }
}
