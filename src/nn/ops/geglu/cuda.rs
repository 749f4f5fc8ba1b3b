//! The gate on a GPU.

use candle_core::Tensor;

use super::Gelu;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::ops::cuda::{Pairs, Source, source};

static SOURCE: Source = source!("geglu", "../cuda");

/// As [`super::geglu`], of tensors of one shape.
pub(super) fn geglu(gate: &Tensor, up: &Tensor, gelu: Gelu, interrupt: &Interrupt) -> Result<Tensor> {
    let (forward, backward) = match gelu {
        Gelu::Erf => ("geglu_forward_erf", "geglu_backward_erf"),
        Gelu::Tanh => ("geglu_forward_tanh", "geglu_backward_tanh"),
    };
    Pairs { name: "geglu", source: &SOURCE, forward, backward }.apply(gate, up, interrupt)
}
