//! RMSNorm (Zhang & Sennrich 2019): `y = x / √(mean(x²) + ε) · w`.
//!
//! With `r = 1 / √(mean(x²) + ε)` and `g = w · dy`, for each row: `dx = r · g − x · r³ · mean(g · x)`; `dw = Σ dy · x · r`
//! over the rows.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{CpuStorage, CustomOp2, Layout, Result as Candle, Shape, Tensor};

pub(super) use self::cpu::forward_rows;
use super::input::input;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};

/// x (…, hidden), w (hidden) -> (…, hidden). Gradients for both.
///
/// # Errors
/// A weight of another width, or `interrupted`, when the user cancels.
pub fn rms_norm(x: &Tensor, w: &Tensor, eps: f64, interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let (x, w) = (input(x, "rms_norm")?, input(w, "rms_norm")?);
    if x.dims().last().copied() != Some(w.dims1()?) || w.elem_count() == 0 {
        return Err(Error::mistake(format!("a norm of {:?} does not fit an input of {:?}", w.dims(), x.dims())));
    }
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::rms_norm(&x, &w, eps as f32, interrupt);
    }
    Ok(autograd::apply2(&x, &w, RmsNorm { eps: eps as f32, interrupt: interrupt.clone() }, Saves::INPUTS_AND_CHEAP)?)
}

struct RmsNorm {
    eps: f32,
    interrupt: Interrupt,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Candle<(CpuStorage, Shape)> {
        let y = cpu::forward(floats_of(x, xl)?, floats_of(w, wl)?, self.eps);
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let (dx, dw) = cpu::backward(&floats(x)?, &floats(w)?, &floats(&dy)?, self.eps);
        Ok((Some(Tensor::from_vec(dx, x.shape(), x.device())?), Some(Tensor::from_vec(dw, w.shape(), w.device())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::reference::{hold_on, on_both_devices, random};

    fn naive(x: &Tensor, w: &Tensor, eps: f64) -> Candle<Tensor> {
        let mean = x.sqr()?.mean_keepdim(candle_core::D::Minus1)?;
        x.broadcast_div(&(mean + eps)?.sqrt()?)?.broadcast_mul(w)
    }

    on_both_devices! {
        fn it_equals_its_reference(device) {
            for (seed, shape) in [&[1, 1][..], &[1, 7], &[3, 5, 33], &[130, 64], &[2, 67, 320], &[4, 1]].iter().enumerate()
            {
                let (x, w) = (random(shape, seed as u64), random(&shape[shape.len() - 1..], 50));
                hold_on(device, &format!("{shape:?}"), &[x, w], |x, i| rms_norm(&x[0], &x[1], 1e-5, i), |x| naive(&x[0], &x[1], 1e-5));
            }
        }
    }

    #[test]
    fn a_weight_of_another_width_is_refused() {
        let error = rms_norm(&random(&[2, 4], 0), &random(&[3], 1), 1e-5, &Interrupt::new()).unwrap_err();
        assert_eq!(error.message(), "a norm of [3] does not fit an input of [2, 4]");
    }
}
