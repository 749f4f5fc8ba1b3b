//! Linear layers: dense and trainable, or frozen (dense or NF4) with a low-rank adapter.

use std::sync::Arc;

use candle_core::Tensor;

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::quant::Nf4;

/// A weight (out, in) that does not train.
#[derive(Debug, Clone)]
pub enum Frozen {
    /// f32.
    Dense(Tensor),
    /// 4 bits; dequantised panel by panel inside the product, never whole.
    Nf4(Arc<Nf4>),
}

/// A low-rank update of a frozen weight.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// A: (r, in)
    pub a: Tensor,
    /// B: (out, r)
    pub b: Tensor,
    /// The factor of the update, α/r.
    pub scale: f64,
    /// Share of the inputs dropped, and the seed of the mask; `None` drops nothing.
    pub dropout: Option<(f64, u64)>,
}

/// `y = x Wᵀ`: x (…, in), w (out, in) -> (…, out). Gradients for both.
pub fn linear(_x: &Tensor, _w: &Tensor, _interrupt: &Interrupt) -> Result<Tensor> {
    todo!()
}

/// `y = x Wᵀ + s · drop(x) Aᵀ Bᵀ`: x (…, in) -> (…, out). Gradients for x, A and B; W is frozen, and its dequantised
/// values are never kept.
pub fn lora_linear(_x: &Tensor, _w: &Frozen, _adapter: Option<&Adapter>, _interrupt: &Interrupt) -> Result<Tensor> {
    todo!()
}
