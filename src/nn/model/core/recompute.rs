//! Gradients without keeping activations (Chen et al. 2016, arXiv:1604.06174): the way forward keeps what goes into each
//! block, the way back goes through the blocks once more, one at a time.
//!
//! A block is a function of its input and of the pass, dropout included, so that going through it again gives the same
//! numbers, and the gradients are those of the plain way.

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use super::{Run, Transformer};
use crate::error::Result;
use crate::nn::Pass;

/// The gradients so far, one a variable; `None` where the loss does not reach it.
struct Sums<'a> {
    vars: &'a [Var],
    sums: Vec<Option<Tensor>>,
}

impl Sums<'_> {
    fn take(&mut self, store: &mut GradStore) -> Result<()> {
        for (var, sum) in self.vars.iter().zip(&mut self.sums) {
            if let Some(gradient) = store.remove(var) {
                *sum = Some(match sum.take() {
                    Some(sum) => (sum + gradient)?,
                    None => gradient,
                });
            }
        }
        Ok(())
    }
}

impl Transformer {
    /// The loss of tokens (batch, time), and its gradients; `loss` makes a scalar of the logits (batch, time, vocabulary).
    pub(crate) fn recomputed(
        &self,
        tokens: &Tensor,
        pass: &Pass,
        vars: &[Var],
        loss: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<(Tensor, Vec<Option<Tensor>>)> {
        let (still, run) = (Run::untracked(pass), Run::tracked(pass));
        let mut inputs = Vec::with_capacity(self.blocks.len());
        let mut x = self.embed(tokens, &still)?; // (batch, time, hidden)
        for block in &self.blocks {
            let y = block.forward(&x, 0, None, &still)?;
            inputs.push(std::mem::replace(&mut x, y));
        }
        let mut sums = Sums { vars, sums: vec![None; vars.len()] };
        let top = Var::from_tensor(&x)?;
        drop(x);
        let value = loss(&self.logits(&top, &run)?)?;
        let mut store = value.backward()?;
        sums.take(&mut store)?;
        let mut dy = store.remove(&top);
        for (block, input) in self.blocks.iter().zip(inputs).rev() {
            let Some(gradient) = dy.take() else { break };
            let x = Var::from_tensor(&input)?;
            let mut store = carried(&block.forward(&x, 0, None, &run)?, &gradient)?;
            sums.take(&mut store)?;
            dy = store.remove(&x);
        }
        if let Some(gradient) = dy.filter(|_| self.embedding.var().is_some()) {
            sums.take(&mut carried(&self.embed(tokens, &run)?, &gradient)?)?;
        }
        Ok((value.detach(), sums.sums))
    }
}

/// Goes back from `y` with the gradient `dy`: that of the sum of `y · dy`.
fn carried(y: &Tensor, dy: &Tensor) -> Result<GradStore> {
    Ok((y * dy.detach())?.sum_all()?.backward()?)
}
