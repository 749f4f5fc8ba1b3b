//! The gate of GeGLU (Shazeer 2020, arXiv:2002.05202): `gelu(gate) · up`, with `gelu(x) = x Φ(x)` (Hendrycks & Gimpel 2016,
//! arXiv:1606.08415), Φ being the normal distribution or what stands in for it:
//!
//! ```text
//! erf    Φ(x) = (1 + erf(x / √2)) / 2       gelu' = Φ(x) + x φ(x)
//! tanh   Φ(x) = σ(2u)                       gelu' = Φ(x) + x Φ(x) (1 − Φ(x)) · 2u',   u = √(2/π) (x + 0.044715 x³)
//! ```
//!
//! `dgate = dy · up · gelu'(gate)`, `dup = dy · gelu(gate)`; Φ is computed again in backward.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{CpuStorage, CustomOp2, Layout, Result as Candle, Shape, Tensor};

use super::cpu::{floats, floats_of, input, owned};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::error::check;
use crate::nn::tape::{self, Needs};

/// Which Φ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gelu {
    /// The normal distribution: "gelu" in `transformers`.
    Erf,
    /// The approximation with tanh: "gelu_new" and "gelu_pytorch_tanh" in `transformers`.
    Tanh,
}

/// Two tensors of one shape. Gradients for both.
///
/// # Errors
/// Shapes that differ, or a stop.
pub fn geglu(gate: &Tensor, up: &Tensor, gelu: Gelu, interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let (gate, up) = (input(gate, "geglu")?, input(up, "geglu")?);
    if gate.dims() != up.dims() {
        return Err(Error::mistake(format!("a gate of {:?} does not fit {:?}", gate.dims(), up.dims())));
    }
    #[cfg(feature = "cuda")]
    if gate.device().is_cuda() {
        return cuda::geglu(&gate, &up, gelu, interrupt);
    }
    Ok(tape::apply2(&gate, &up, Geglu { gelu, interrupt: interrupt.clone() }, Needs::INPUTS_AND_CHEAP)?)
}

struct Geglu {
    gelu: Gelu,
    interrupt: Interrupt,
}

impl CustomOp2 for Geglu {
    fn name(&self) -> &'static str {
        "geglu"
    }

    fn cpu_fwd(&self, g: &CpuStorage, gl: &Layout, u: &CpuStorage, ul: &Layout) -> Candle<(CpuStorage, Shape)> {
        let y = cpu::forward(floats_of(g, gl)?, floats_of(u, ul)?, self.gelu);
        Ok((CpuStorage::F32(y), gl.shape().clone()))
    }

    fn bwd(&self, gate: &Tensor, up: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let (dgate, dup) = cpu::backward(owned(gate)?, owned(up)?, &floats(&dy)?, self.gelu);
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((Some(tensor(dgate, gate)?), Some(tensor(dup, up)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::twin::{hold_on, on_both_devices, random, to_cpu, values};

    on_both_devices! {
        fn it_equals_its_twin(device) {
            for (seed, shape) in [&[1][..], &[3, 7], &[2, 5, 33], &[40, 832]].iter().enumerate() {
                let inputs = [random(shape, seed as u64), random(shape, 50)].map(|x| x.affine(4.0, 0.0).unwrap());
                let erf = |x: &[Tensor], i: &Interrupt| geglu(&x[0], &x[1], Gelu::Erf, i);
                hold_on(device, &format!("erf {shape:?}"), &inputs, erf, |x| x[0].gelu_erf()?.mul(&x[1]));
                let tanh = |x: &[Tensor], i: &Interrupt| geglu(&x[0], &x[1], Gelu::Tanh, i);
                hold_on(device, &format!("tanh {shape:?}"), &inputs, tanh, |x| x[0].gelu()?.mul(&x[1]));
            }
        }
    }

    // python3: import math
    // for x in (-9., -3., -.5, 0., 1e-3, 1., 4.): print(x * math.erfc(-x / 2 ** .5) / 2)
    // u = lambda x: (2 / math.pi) ** .5 * (x + .044715 * x ** 3)
    // for x in (-9., -3., -.5, 0., 1e-3, 1., 4.): print(x / (1 + math.exp(-2 * u(x))))
    on_both_devices! {
        fn the_digits_are_right_where_it_is_small_too(device) {
            let at = [-9.0f32, -3.0, -0.5, 0.0, 1e-3, 1.0, 4.0];
            let erf = [-1.015_729_6e-18, -4.049_694e-3, -0.154_268_77, 0.0, 5.003_989e-4, 0.841_344_8, 3.999_873];
            let tanh = [-1.336_459_6e-28, -3.637_392e-3, -0.154_286, 0.0, 5.003_989e-4, 0.841_192, 3.999_93];
            let x = Tensor::new(&at, device).unwrap();
            for (gelu, truth) in [(Gelu::Erf, erf), (Gelu::Tanh, tanh)] {
                let y = geglu(&x, &x.ones_like().unwrap(), gelu, &Interrupt::new()).unwrap();
                for (y, truth) in values(&to_cpu(&y)).iter().zip(truth) {
                    assert!((y - truth).abs() <= 2e-5 * f32::abs(truth), "{gelu:?}: {y} {truth}");
                }
            }
        }
    }

    on_both_devices! {
        fn far_from_zero_it_is_a_ramp(device) {
            let gate = Tensor::new(&[-1e30f32, -1e4, -50.0, 50.0, 1e4, 1e30], device).unwrap();
            for gelu in [Gelu::Erf, Gelu::Tanh] {
                let var = candle_core::Var::from_tensor(&gate).unwrap();
                let y = geglu(&var, &gate.ones_like().unwrap(), gelu, &Interrupt::new()).unwrap();
                for (y, ramp) in values(&to_cpu(&y)).iter().zip([0.0f32, 0.0, 0.0, 50.0, 1e4, 1e30]) {
                    assert!((y - ramp).abs() < 1e-6, "{gelu:?}: {y} {ramp}");
                }
                let grads = to_cpu(&y).sum_all().unwrap().backward().unwrap();
                for (slope, step) in values(&to_cpu(grads.get(&var).unwrap())).iter().zip([0.0f32, 0.0, 0.0, 1.0, 1.0, 1.0]) {
                    assert!((slope - step).abs() < 1e-6, "{gelu:?}: {slope} {step}");
                }
            }
        }
    }
}
