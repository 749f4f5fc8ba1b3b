//! SwiGLU (Shazeer 2020): `silu(gate) · up`, with `silu(g) = g · σ(g)`.
//!
//! `dgate = dy · up · σ(g) · (1 + g · (1 − σ(g)))`, `dup = dy · silu(g)`; σ is recomputed in backward.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{CpuStorage, CustomOp2, Layout, Result as Candle, Shape, Tensor};

pub(super) use self::cpu::forward_part;
use super::input::{input, owned};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};

/// `silu(gate) · up` of two tensors of one shape. Gradients for both.
///
/// # Errors
/// Shapes that differ, or `interrupted`, when the user cancels.
pub fn swiglu(gate: &Tensor, up: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let (gate, up) = (input(gate, "swiglu")?, input(up, "swiglu")?);
    if gate.dims() != up.dims() {
        return Err(Error::mistake(format!("a gate of {:?} does not fit {:?}", gate.dims(), up.dims())));
    }
    #[cfg(feature = "cuda")]
    if gate.device().is_cuda() {
        return cuda::swiglu(&gate, &up, interrupt);
    }
    Ok(autograd::apply2(&gate, &up, Swiglu { interrupt: interrupt.clone() }, Saves::INPUTS_AND_CHEAP)?)
}

struct Swiglu {
    interrupt: Interrupt,
}

impl CustomOp2 for Swiglu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, g: &CpuStorage, gl: &Layout, u: &CpuStorage, ul: &Layout) -> Candle<(CpuStorage, Shape)> {
        let y = cpu::forward(floats_of(g, gl)?, floats_of(u, ul)?);
        Ok((CpuStorage::F32(y), gl.shape().clone()))
    }

    fn bwd(&self, gate: &Tensor, up: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let (dgate, dup) = cpu::backward(owned(gate)?, owned(up)?, &floats(&dy)?);
        Ok((
            Some(Tensor::from_vec(dgate, gate.shape(), gate.device())?),
            Some(Tensor::from_vec(dup, up.shape(), up.device())?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::reference::{hold_on, on_both_devices, random, values};

    on_both_devices! {
        fn it_equals_its_reference(device) {
            for (seed, shape) in [&[1][..], &[3, 7], &[2, 5, 33], &[40, 832]].iter().enumerate() {
                let inputs = [random(shape, seed as u64), random(shape, 50)].map(|x| x.affine(6.0, 0.0).unwrap());
                hold_on(device, &format!("{shape:?}"), &inputs, |x, i| swiglu(&x[0], &x[1], i), |x| x[0].silu()?.mul(&x[1]));
            }
        }
    }

    #[test]
    fn far_from_zero_it_is_a_ramp() {
        let gate = Tensor::new(&[-1e4f32, -100.0, 100.0, 1e4], &candle_core::Device::Cpu).unwrap();
        let y = swiglu(&gate, &gate.ones_like().unwrap(), &Interrupt::new()).unwrap();
        for (y, ramp) in values(&y).iter().zip([0.0f32, 0.0, 100.0, 1e4]) {
            assert!((y - ramp).abs() < 1e-30, "{y}");
        }
    }
}
