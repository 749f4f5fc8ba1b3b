//! Rotary positions (Su et al. 2021) in the half-split layout of `transformers`' LLaMA.

use candle_core::Tensor;

use crate::error::Result;
use crate::interrupt::Interrupt;

/// x (batch, time, heads, dim) turned by the angles of positions `offset..offset + time`; `dim` is even.
pub fn rope(_x: &Tensor, _theta: f64, _offset: usize, _interrupt: &Interrupt) -> Result<Tensor> {
    todo!()
}
