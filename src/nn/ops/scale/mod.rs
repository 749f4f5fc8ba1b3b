//! Products with a constant, as T5 scales what a head that is the embedding reads.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{CpuStorage, CustomOp1, Layout, Result as Candle, Shape, Tensor};

use super::input::input;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};

/// `factor · x`. Gradient for x.
///
/// # Errors
/// A tensor that is not f32, or `interrupted`, when the user cancels.
pub fn scale(x: &Tensor, factor: f32, interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let x = input(x, "scale")?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::scale(&x, factor, interrupt);
    }
    Ok(autograd::apply1(&x, ScaleOp { factor, interrupt: interrupt.clone() }, Saves::NOTHING)?)
}

struct ScaleOp {
    factor: f32,
    interrupt: Interrupt,
}

impl CustomOp1 for ScaleOp {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Candle<(CpuStorage, Shape)> {
        let y = floats_of(x, l)?.iter().map(|x| self.factor * x).collect();
        Ok((CpuStorage::F32(y), l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<Option<Tensor>> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let dx: Vec<f32> = floats(&dy)?.iter().map(|dy| self.factor * dy).collect();
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::reference::{hold_on, on_both_devices, random};

    on_both_devices! {
        fn it_equals_its_reference(device) {
            for (shape, factor) in [(&[1][..], 2.0), (&[3, 9], -0.25), (&[2, 5, 120], 0.044)] {
                let slow = |x: &[Tensor]| &x[0] * f64::from(factor);
                let fast = |x: &[Tensor], i: &Interrupt| scale(&x[0], factor, i);
                hold_on(device, &format!("{shape:?} {factor}"), &[random(shape, 1)], fast, slow);
            }
        }
    }
}
