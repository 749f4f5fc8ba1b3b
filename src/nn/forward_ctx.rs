//! How to go through a model once.

use crate::interrupt::Interrupt;
use crate::nn::Precision;
use crate::nn::init::name_hash;

/// How to go through a model once. The default is a plain evaluation: nothing is kept for a backward pass, nothing is
/// dropped, products are f32, and nobody interrupts it.
#[derive(Debug, Clone, Default)]
pub struct ForwardCtx {
    /// Whether candle is to keep a graph for a backward pass. Ops that a [`Tape`](crate::nn::Tape) records need none.
    pub grad: bool,
    /// Seed of the dropout masks; `None` when evaluating.
    pub dropout_seed: Option<u64>,
    /// The number format of products.
    pub precision: Precision,
    /// Asked by every op, forward and backward.
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

    /// The share of inputs that the layer called `layer` drops and the seed of its mask: each layer has a seed of its own,
    /// drawn from that of the pass.
    pub(crate) fn dropout(&self, layer: &str, share: f64) -> Option<(f64, u64)> {
        let seed = self.dropout_seed?;
        (share > 0.0).then(|| (share, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name_hash(layer)))
    }
}
