//! SwiGLU on a GPU.

use candle_core::Tensor;

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::cuda::{KernelSource, source};
use crate::nn::ops::cuda::Binary;

static SOURCE: KernelSource = source!("swiglu", "../../cuda");

/// [`super::swiglu`] for tensors of one shape.
pub(super) fn swiglu(gate: &Tensor, up: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
    let (forward, backward) = ("swiglu_forward", "swiglu_backward");
    Binary { name: "swiglu", source: &SOURCE, forward, backward }.apply(gate, up, interrupt)
}
