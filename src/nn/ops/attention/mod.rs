//! Scaled dot-product attention in blocks (Dao et al. 2022): no (time × time) tensor, forward or backward.

use candle_core::Tensor;

use crate::error::Result;
use crate::interrupt::Interrupt;

/// What kind of attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Position i of the queries sees keys up to `i + (keys − queries)`; otherwise all.
    pub causal: bool,
    /// Scores are multiplied by this, 1/√head_dim as a rule.
    pub scale: f32,
}

/// q (batch, time, heads, dim), k and v (batch, keys, kv_heads, dim) -> (batch, time, heads, dim); `kv_heads` divides
/// `heads`. Gradients for all three.
pub fn attention(_q: &Tensor, _k: &Tensor, _v: &Tensor, _shape: AttentionShape, _i: &Interrupt) -> Result<Tensor> {
    todo!()
}
