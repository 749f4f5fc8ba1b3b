//! Gradients without keeping activations (Chen et al. 2016, arXiv:1604.06174): the way forward keeps what goes into each
//! block, the way back goes through the blocks once more, one at a time.
//!
//! A block that is gone through alone on the way back has its gradients ready at once, before those below it: ranks that
//! train together go block by block for that, whether they keep activations or not.
//!
//! A block is a function of its input and of the pass, dropout included, so that going through it again gives the same
//! numbers, and the gradients are those of the plain way.

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use super::{Run, Transformer};
use crate::error::Result;
use crate::nn::Pass;

/// Who takes gradients, a variable at a time, as soon as each is final.
pub(crate) struct Taker<'a> {
    /// What gradients are wanted of.
    pub(crate) vars: &'a [Var],
    /// Takes the place of a variable among `vars` and its gradient.
    pub(crate) take: &'a mut dyn FnMut(usize, Tensor) -> Result<()>,
}

/// Gradients on their way to whoever takes them.
struct Sums<'a, 'b> {
    taker: &'b mut Taker<'a>,
    /// The embedding, which gets one gradient from each end of the model when the head is tied to it.
    embedding: Option<usize>,
    held: Option<Tensor>,
}

impl Sums<'_, '_> {
    fn take(&mut self, store: &mut GradStore) -> Result<()> {
        for (place, var) in self.taker.vars.iter().enumerate() {
            let Some(gradient) = store.remove(var) else { continue };
            if self.embedding == Some(place) {
                self.held = Some(match self.held.take() {
                    Some(sum) => (sum + gradient)?,
                    None => gradient,
                });
            } else {
                (self.taker.take)(place, gradient)?;
            }
        }
        Ok(())
    }

    fn end(self) -> Result<()> {
        match (self.embedding, self.held) {
            (Some(place), Some(gradient)) => (self.taker.take)(place, gradient),
            _ => Ok(()),
        }
    }
}

impl Transformer {
    /// The loss of tokens (batch, time); its gradients go to `taker`, block by block from the last to the first. `loss`
    /// makes a scalar of the logits (batch, time, vocabulary). With `again` a block keeps its input alone and is gone
    /// through once more on the way back; else it keeps all.
    pub(crate) fn by_block(
        &self,
        tokens: &Tensor,
        pass: &Pass,
        again: bool,
        taker: &mut Taker<'_>,
        loss: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (still, run) = (Run::untracked(pass), Run::tracked(pass));
        let mut stages = Vec::with_capacity(self.blocks.len());
        let mut x = self.embed(tokens, &still)?; // (batch, time, hidden)
        for block in &self.blocks {
            if again {
                let y = block.forward(&x, 0, None, &still)?;
                stages.push((std::mem::replace(&mut x, y), None));
            } else {
                let input = Var::from_tensor(&x)?;
                let y = block.forward(&input, 0, None, &run)?;
                x = y.detach();
                stages.push((input.into_inner(), Some(y)));
            }
        }
        let own = self.embedding.var();
        let embedding = own.and_then(|own| taker.vars.iter().position(|var| var.id() == own.id()));
        let mut sums = Sums { taker, embedding, held: None };
        let top = Var::from_tensor(&x)?;
        drop(x);
        let value = loss(&self.logits(&top, &run)?)?;
        let mut store = value.backward()?;
        sums.take(&mut store)?;
        let mut dy = store.remove(&top);
        for (block, (input, output)) in self.blocks.iter().zip(stages).rev() {
            let Some(gradient) = dy.take() else { break };
            let (x, y) = match output {
                Some(y) => (input, y),
                None => {
                    let x = Var::from_tensor(&input)?;
                    let y = block.forward(&x, 0, None, &run)?;
                    (x.into_inner(), y)
                }
            };
            let mut store = carried(&y, &gradient)?;
            sums.take(&mut store)?;
            dy = store.remove(&x);
        }
        if let Some(gradient) = dy.filter(|_| self.embedding.var().is_some()) {
            sums.take(&mut carried(&self.embed(tokens, &run)?, &gradient)?)?;
        }
        sums.end()?;
        Ok(value.detach())
    }
}

/// Goes back from `y` with the gradient `dy`: that of the sum of `y · dy`.
fn carried(y: &Tensor, dy: &Tensor) -> Result<GradStore> {
    Ok((y * dy.detach())?.sum_all()?.backward()?)
}
