//! The gate of SwiGLU (Shazeer 2020): `silu(gate) · up`.

use candle_core::Tensor;

use crate::error::Result;
use crate::interrupt::Interrupt;

/// Two tensors of one shape. Gradients for both.
pub fn swiglu(_gate: &Tensor, _up: &Tensor, _interrupt: &Interrupt) -> Result<Tensor> {
    todo!()
}
