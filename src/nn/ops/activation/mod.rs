//! Activation functions of feed-forward layers, plain `f(x)` and gated `f(gate) · up` (Shazeer 2020, arXiv:2002.05202).
//!
//! Each is `f(x) = x s(x)`, so that one share `s` and the slope of `f` describe it:
//!
//! ```text
//! relu        s = 1 where x > 0, else 0         f' = s                              (0 at 0)
//! silu        s = σ(x)                          f' = s + x s (1 − s)
//! gelu        s = (1 + erf(x / √2)) / 2         f' = s + x φ(x)                     (Hendrycks & Gimpel 2016, arXiv:1606.08415)
//! gelu, tanh  s = σ(2u)                         f' = s + x s (1 − s) · 2u',         u = √(2/π) (x + 0.044715 x³)
//! ```
//!
//! Plain: `dx = dy · f'(x)`. Gated: `dgate = dy · up · f'(gate)`, `dup = dy · f(gate)`. `s` is computed again in backward.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod gated;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use candle_core::{CpuStorage, CustomOp1, Layout, Result as Candle, Shape, Tensor};

pub use self::gated::gated;
use super::input::{input, owned};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};

/// An activation function, under the names of `transformers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// `max(x, 0)`: "relu".
    Relu,
    /// `x σ(x)`: "silu", also called "swish".
    #[default]
    Silu,
    /// `x Φ(x)` with the normal distribution Φ: "gelu".
    Gelu,
    /// The approximation of it with tanh: "gelu_new", "gelu_pytorch_tanh", "gelu_fast".
    GeluTanh,
}

impl FromStr for Activation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "relu" => Ok(Self::Relu),
            "silu" | "swish" => Ok(Self::Silu),
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Self::GeluTanh),
            _ => Err(Error::unknown("activation", name, &["relu", "silu", "gelu", "gelu_new", "gelu_pytorch_tanh"])),
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relu => "relu",
            Self::Silu => "silu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_pytorch_tanh",
        })
    }
}

/// `f(x)`, element by element. Gradient for x.
///
/// # Errors
/// A tensor that is not f32, or `interrupted`, when the user cancels.
pub fn activate(x: &Tensor, activation: Activation, interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let x = input(x, "activate")?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::activate(&x, activation, interrupt);
    }
    Ok(autograd::apply1(&x, Activate { activation, interrupt: interrupt.clone() }, Saves::INPUTS_AND_CHEAP)?)
}

struct Activate {
    activation: Activation,
    interrupt: Interrupt,
}

impl CustomOp1 for Activate {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Candle<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(cpu::forward(floats_of(x, l)?, self.activation)), l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<Option<Tensor>> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let dx = cpu::backward(owned(x)?, &floats(&dy)?, self.activation);
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}
