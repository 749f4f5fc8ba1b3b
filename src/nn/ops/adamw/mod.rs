//! One AdamW update (Loshchilov & Hutter 2017, arXiv:1711.05101) in one pass over a parameter, with the arithmetic of
//! `torch.optim.AdamW`:
//!
//! ```text
//! p ← p (1 − lr λ)      m ← m + (g − m)(1 − β₁)      v ← β₂ v + (1 − β₂) g²
//! p ← p − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
//! ```

mod codes8;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
mod cuda_moments;
#[cfg(feature = "cuda")]
mod cuda_moments8;
mod device_moments;
mod device_moments8;

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, InplaceOp2, Layout, Result as Candle, Tensor, Var};

pub use self::codes8::{EightBitMaps, EightBitStep};
pub use self::device_moments::{DeviceMoments, DeviceUpdate};
pub use self::device_moments8::DeviceMoments8;
use super::input::input;
use crate::error::{Error, Result};
use crate::nn::cpu::{floats, floats_of};

/// The hyper-parameters of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the two moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// The number of the step, from 1.
    pub step: u64,
}

/// Updates a parameter in place, and its moments `m` and `v`; empty moments begin as zeros.
///
/// # Errors
/// A gradient or moments of another size.
pub fn adamw_step(p: &Var, g: &Tensor, m: &mut Vec<f32>, v: &mut Vec<f32>, hyper: &AdamWStep) -> Result<()> {
    let (g, n) = (input(g, "adamw")?, p.elem_count());
    for moment in [&mut *m, &mut *v] {
        if moment.is_empty() {
            moment.resize(n, 0.0);
        }
    }
    if g.dims() != p.dims() || m.len() != n || v.len() != n {
        return Err(Error::mistake(format!("a gradient of {:?} does not fit a parameter of {:?}", g.dims(), p.dims())));
    }
    let op = UpdateOp { moments: Mutex::new((m, v)), hyper: *hyper };
    Ok(p.inplace_op2(&g, &op)?)
}

/// Σ x² of a tensor, for the norm of gradients.
///
/// # Errors
/// A tensor that is not f32.
pub fn square_norm(x: &Tensor) -> Result<f64> {
    square_norms(&[x])
}

/// Σ x² over several tensors; on a GPU the host synchronises once.
///
/// # Errors
/// A tensor that is not f32.
pub fn square_norms(tensors: &[&Tensor]) -> Result<f64> {
    let tensors = tensors.iter().map(|x| input(x, "square_norm")).collect::<Result<Vec<_>>>()?;
    #[cfg(feature = "cuda")]
    if tensors.first().is_some_and(|x| x.device().is_cuda()) {
        return Ok(cuda::square_norms(&tensors)?);
    }
    let mut sum = 0.0;
    for x in &tensors {
        sum += cpu::square_norm(&floats(x)?);
    }
    Ok(sum)
}

/// Scales tensors on a GPU in place, with one launch; `false`, without any change, on the CPU and where two of them
/// share memory.
///
/// # Errors
/// A tensor that is not f32.
pub fn scale_in_place(tensors: &[Tensor], factor: f32) -> Result<bool> {
    #[cfg(feature = "cuda")]
    if tensors.first().is_some_and(|x| x.device().is_cuda()) {
        return Ok(cuda::scale(tensors, factor)?);
    }
    let _ = (tensors, factor);
    Ok(false)
}

struct UpdateOp<'a> {
    // candle passes the op by shared reference; the lock is never contended.
    moments: Mutex<(&'a mut [f32], &'a mut [f32])>,
    hyper: AdamWStep,
}

impl InplaceOp2 for UpdateOp<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, p: &mut CpuStorage, pl: &Layout, g: &CpuStorage, gl: &Layout) -> Candle<()> {
        let Some((start, end)) = pl.contiguous_offsets() else {
            return Err(candle_core::Error::RequiresContiguous { op: "adamw" }.bt());
        };
        let CpuStorage::F32(p) = p else {
            return Err(candle_core::Error::msg("adamw updates f32 parameters"));
        };
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let (m, v) = &mut *moments;
        cpu::update(&mut p[start..end], floats_of(g, gl)?, m, v, &self.hyper);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::ops::reference::{random, values};

    /// The formula in f64, one element.
    fn naive(p: f64, g: f64, m: &mut f64, v: &mut f64, h: &AdamWStep) -> f64 {
        let (b1, b2) = h.betas;
        *m += (g - *m) * (1.0 - b1);
        *v = b2 * *v + (1.0 - b2) * g * g;
        let (c1, c2) = (1.0 - b1.powf(h.step as f64), 1.0 - b2.powf(h.step as f64));
        p * (1.0 - h.lr * h.weight_decay) - h.lr / c1 * *m / (v.sqrt() / c2.sqrt() + h.eps)
    }

    #[test]
    fn three_steps_follow_the_formula() {
        for n in [1usize, 33, 20_000] {
            let p = Var::from_tensor(&random(&[n], 0)).unwrap();
            let mut slow: Vec<(f64, f64, f64)> = values(&p).iter().map(|&p| (f64::from(p), 0.0, 0.0)).collect();
            let (mut m, mut v) = (Vec::new(), Vec::new());
            for step in 1..=3 {
                let hyper = AdamWStep { lr: 1e-2, betas: (0.9, 0.99), eps: 1e-8, weight_decay: 0.1, step };
                let g = random(&[n], step);
                adamw_step(&p, &g, &mut m, &mut v, &hyper).unwrap();
                for ((p, m, v), g) in slow.iter_mut().zip(values(&g)) {
                    *p = naive(*p, f64::from(g), m, v, &hyper);
                }
            }
            for (fast, slow) in values(&p).iter().zip(&slow) {
                assert!((f64::from(*fast) - slow.0).abs() < 1e-6, "{fast} {}", slow.0);
            }
        }
    }

    // torch 2.15:
    // import torch; p=torch.tensor([1.,-2.,3.,0.5],requires_grad=True)
    // o=torch.optim.AdamW([p],lr=1e-2,betas=(0.9,0.95),eps=1e-8,weight_decay=0.1)
    // for g in ([.1,-.2,.3,0.],[1.,2.,-3.,1e-6]): p.grad=torch.tensor(g); o.step()
    // print(p.detach().numpy().view('uint32'))
    #[test]
    fn two_steps_are_those_of_torch() {
        let p = Var::new(&[1f32, -2.0, 3.0, 0.5], &Device::Cpu).unwrap();
        let (mut m, mut v) = (Vec::new(), Vec::new());
        for (i, g) in [[0.1f32, -0.2, 0.3, 0.0], [1.0, 2.0, -3.0, 1e-6]].iter().enumerate() {
            let hyper = AdamWStep { lr: 1e-2, betas: (0.9, 0.95), eps: 1e-8, weight_decay: 0.1, step: i as u64 + 1 };
            adamw_step(&p, &Tensor::new(g, &Device::Cpu).unwrap(), &mut m, &mut v, &hyper).unwrap();
        }
        let golden = [0x3f7a_e3c2, 0xbfff_0fc5, 0x403f_6722, 0x3efb_c6f0].map(f32::from_bits);
        assert_eq!(values(&p), golden);
    }

    #[test]
    fn the_square_norm_is_the_sum_of_squares() {
        let x = random(&[3, 20_001], 1);
        let slow: f64 = values(&x).iter().map(|&x| f64::from(x).powi(2)).sum();
        assert!((square_norm(&x).unwrap() - slow).abs() < 1e-9 * slow);
    }

    #[test]
    fn a_gradient_of_another_shape_is_refused() {
        let p = Var::from_tensor(&random(&[4], 0)).unwrap();
        let hyper = AdamWStep { lr: 1e-2, betas: (0.9, 0.95), eps: 1e-8, weight_decay: 0.1, step: 1 };
        assert!(adamw_step(&p, &random(&[5], 1), &mut Vec::new(), &mut Vec::new(), &hyper).is_err());
    }
}
