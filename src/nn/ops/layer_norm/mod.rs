//! Layer normalisation (Ba et al. 2016, arXiv:1607.06450): `y = (x − mean(x)) / √(var(x) + ε) · w + b`.
//!
//! With `r = 1 / √(var(x) + ε)`, `n = (x − mean(x)) · r` and `g = w · dy`, for each row:
//! `dx = r · (g − mean(g) − n · mean(g · n))`; `dw = Σ dy · n` and `db = Σ dy` over the rows.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result as Candle, Shape, Tensor};

use super::input::input;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};

/// x (…, hidden), w (hidden), b (hidden) if there is one -> (…, hidden). Gradients for all of them.
///
/// # Errors
/// A weight or a bias of another width, or `interrupted`, when the user cancels.
pub fn layer_norm(x: &Tensor, w: &Tensor, b: Option<&Tensor>, eps: f64, interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let (x, w) = (input(x, "layer_norm")?, input(w, "layer_norm")?);
    let b = b.map(|b| input(b, "layer_norm")).transpose()?;
    let width = w.dims1()?;
    if x.dims().last().copied() != Some(width) || width == 0 {
        return Err(Error::mistake(format!("a norm of {:?} does not fit an input of {:?}", w.dims(), x.dims())));
    }
    if let Some(b) = b.as_ref().filter(|b| b.dims() != [width]) {
        return Err(Error::mistake(format!("a bias of {:?} does not fit an input of {:?}", b.dims(), x.dims())));
    }
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::layer_norm(&x, &w, b.as_ref(), eps as f32, interrupt);
    }
    let op = LayerNorm { eps: eps as f32, interrupt: interrupt.clone() };
    match b {
        None => Ok(autograd::apply2(&x, &w, op, Saves::INPUTS_AND_CHEAP)?),
        Some(b) => Ok(autograd::apply3(&x, &w, &b, op, Saves::INPUTS_AND_CHEAP)?),
    }
}

struct LayerNorm {
    eps: f32,
    interrupt: Interrupt,
}

impl LayerNorm {
    fn backward(&self, x: &Tensor, w: &Tensor, dy: &Tensor) -> Candle<[Tensor; 3]> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let (dx, dw, db) = cpu::backward(&floats(x)?, &floats(w)?, &floats(&dy)?, self.eps);
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok([tensor(dx, x)?, tensor(dw, w)?, tensor(db, w)?])
    }
}

impl CustomOp2 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Candle<(CpuStorage, Shape)> {
        let y = cpu::forward(floats_of(x, xl)?, floats_of(w, wl)?, None, self.eps);
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, _] = self.backward(x, w, dy)?;
        Ok((Some(dx), Some(dw)))
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Candle<(CpuStorage, Shape)> {
        let y = cpu::forward(floats_of(x, xl)?, floats_of(w, wl)?, Some(floats_of(b, bl)?), self.eps);
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Candle<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, db] = self.backward(x, w, dy)?;
        Ok((Some(dx), Some(dw), Some(db)))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::D;

    use super::*;
    use crate::nn::ops::reference::{close, hold_on, on_both_devices, random, to_cpu};

    fn naive(x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Candle<Tensor> {
        let x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = x.sqr()?.mean_keepdim(D::Minus1)?;
        let y = x.broadcast_div(&(variance + 1e-5)?.sqrt()?)?.broadcast_mul(w)?;
        b.map_or(Ok(y.clone()), |b| y.broadcast_add(b))
    }

    on_both_devices! {
        fn it_equals_its_reference(device) {
            for (seed, shape) in
                [&[2, 4][..], &[1, 7], &[3, 5, 33], &[130, 64], &[2, 67, 320], &[5, 1, 3]].iter().enumerate()
            {
                let width = &shape[shape.len() - 1..];
                let (x, w, b) = (random(shape, seed as u64), random(width, 50), random(width, 51));
                let inputs = [x.clone(), w.clone()];
                let fast = |x: &[Tensor], i: &Interrupt| layer_norm(&x[0], &x[1], None, 1e-5, i);
                hold_on(device, &format!("{shape:?}"), &inputs, fast, |x| naive(&x[0], &x[1], None));
                let fast = |x: &[Tensor], i: &Interrupt| layer_norm(&x[0], &x[1], Some(&x[2]), 1e-5, i);
                hold_on(device, &format!("{shape:?} with bias"), &[x, w, b], fast, |x| naive(&x[0], &x[1], Some(&x[2])));
            }
        }
    }

    #[test]
    fn a_single_value_is_its_own_mean() {
        let b = random(&[1], 2);
        let y = layer_norm(&random(&[4, 1], 0), &random(&[1], 1), Some(&b), 1e-5, &Interrupt::new()).unwrap();
        close("all that is left is the bias", &y, &b.broadcast_as((4, 1)).unwrap(), 1e-7);
    }

    on_both_devices! {
        fn a_far_mean_takes_no_digits(device) {
            let x = random(&[3, 64], 0).to_device(device).unwrap();
            let (w, quiet) = (Tensor::ones(64, candle_core::DType::F32, x.device()).unwrap(), Interrupt::new());
            // 1024 + x rounds x to 2⁻¹⁴; a variance from E[x²] − E[x]² would be lost.
            let far = layer_norm(&(&x + 1024.0).unwrap(), &w, None, 1e-5, &quiet).unwrap();
            close("far", &to_cpu(&far), &to_cpu(&layer_norm(&x, &w, None, 1e-5, &quiet).unwrap()), 2e-4);
        }
    }

    #[test]
    fn widths_that_do_not_fit_are_refused() {
        let (x, w, quiet) = (random(&[2, 4], 0), random(&[3], 1), Interrupt::new());
        let error = layer_norm(&x, &w, None, 1e-5, &quiet).unwrap_err();
        assert_eq!(error.message(), "a norm of [3] does not fit an input of [2, 4]");
        let error = layer_norm(&x, &random(&[4], 1), Some(&w), 1e-5, &quiet).unwrap_err();
        assert_eq!(error.message(), "a bias of [3] does not fit an input of [2, 4]");
    }
}
