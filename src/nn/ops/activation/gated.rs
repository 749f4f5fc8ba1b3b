//! Gated activations: `f(gate) · up`. SwiGLU, which LLaMA uses, is an op of its own.

use candle_core::{CpuStorage, CustomOp2, Layout, Result as Candle, Shape, Tensor};

use super::{Activation, cpu};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};
use crate::nn::ops::input::{input, owned};
use crate::nn::ops::swiglu::swiglu;

/// `f(gate) · up` of two tensors of one shape. Gradients for both.
///
/// # Errors
/// Shapes that differ, or `interrupted`, when the user cancels.
pub fn gated(gate: &Tensor, up: &Tensor, activation: Activation, interrupt: &Interrupt) -> Result<Tensor> {
    if activation == Activation::Silu {
        return swiglu(gate, up, interrupt);
    }
    interrupt.check()?;
    let (gate, up) = (input(gate, "gated")?, input(up, "gated")?);
    if gate.dims() != up.dims() {
        return Err(Error::mistake(format!("a gate of {:?} does not fit {:?}", gate.dims(), up.dims())));
    }
    #[cfg(feature = "cuda")]
    if gate.device().is_cuda() {
        return super::cuda::gated(&gate, &up, activation, interrupt);
    }
    let op = Gated { activation, interrupt: interrupt.clone() };
    Ok(autograd::apply2(&gate, &up, op, Saves::INPUTS_AND_CHEAP)?)
}

struct Gated {
    activation: Activation,
    interrupt: Interrupt,
}

impl CustomOp2 for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn cpu_fwd(&self, g: &CpuStorage, gl: &Layout, u: &CpuStorage, ul: &Layout) -> Candle<(CpuStorage, Shape)> {
        let y = cpu::gated_forward(floats_of(g, gl)?, floats_of(u, ul)?, self.activation);
        Ok((CpuStorage::F32(y), gl.shape().clone()))
    }

    fn bwd(&self, gate: &Tensor, up: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let (dgate, dup) = cpu::gated_backward(owned(gate)?, owned(up)?, &floats(&dy)?, self.activation);
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((Some(tensor(dgate, gate)?), Some(tensor(dup, up)?)))
    }
}
