//! One way through the model: whether gradients follow, what is dropped, who may stop it.

use crate::interrupt::Interrupt;
use crate::nn::Precision;
use crate::nn::init::name_hash;
use crate::nn::model::Pass;

/// A [`Pass`] and whether gradients follow it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    pass: &'a Pass,
    /// False when no gradient will be asked for, so that nothing is kept for one.
    pub(crate) tracked: bool,
}

impl<'a> Run<'a> {
    /// A pass that a gradient may follow.
    pub(crate) fn tracked(pass: &'a Pass) -> Self {
        Self { pass, tracked: true }
    }

    /// A pass for the answer alone.
    pub(crate) fn untracked(pass: &'a Pass) -> Self {
        Self { pass, tracked: false }
    }

    /// Who may stop it.
    pub(crate) fn interrupt(&self) -> &'a Interrupt {
        &self.pass.interrupt
    }

    /// What the factors of products are rounded to.
    pub(crate) fn precision(&self) -> Precision {
        self.pass.precision
    }

    /// What the layer called `layer` drops: each has a seed of its own, drawn from the seed of the pass.
    pub(crate) fn dropout(&self, layer: &str, share: f64) -> Option<(f64, u64)> {
        let seed = self.pass.dropout_seed?;
        (share > 0.0).then(|| (share, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name_hash(layer)))
    }
}
