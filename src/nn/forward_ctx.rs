//! Settings of one forward pass.

use crate::interrupt::Interrupt;
use crate::nn::Precision;
use crate::nn::init::name_hash;

/// Settings of one forward pass. The default is evaluation: no graph for backward, no dropout, products in f32, no
/// interrupt.
#[derive(Debug, Clone, Default)]
pub struct ForwardCtx {
    /// Whether candle keeps a graph for a backward pass. A [`Tape`](crate::nn::Tape) does not need it.
    pub grad: bool,
    /// Seed of the dropout masks; `None` when evaluating.
    pub dropout_seed: Option<u64>,
    /// The number format of products.
    pub precision: Precision,
    /// Checked by every op, forward and backward.
    pub interrupt: Interrupt,
}

impl ForwardCtx {
    /// A plain evaluation that a backward pass can follow.
    pub fn recording() -> Self {
        Self { grad: true, ..Self::default() }
    }

    /// The same, followed by a backward pass or not.
    #[must_use]
    pub fn with_grad(&self, grad: bool) -> Self {
        Self { grad, ..self.clone() }
    }

    /// The dropout share of the layer called `layer` and the seed of its mask: each layer has a seed of its own, drawn
    /// from that of the pass.
    pub(crate) fn dropout(&self, layer: &str, share: f64) -> Option<(f64, u64)> {
        let seed = self.dropout_seed?;
        (share > 0.0).then(|| (share, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name_hash(layer)))
    }
}
