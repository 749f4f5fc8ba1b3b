//! Rotary position embedding (Su et al. 2021) in the half-split layout of `transformers`' LLaMA: with `half = dim / 2`
//! and the angle `φ = position · θ^(−2i / dim)`, the pair (xᵢ, xᵢ₊half) is rotated by φ. The gradient is rotated back.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod frequencies;

use candle_core::{CpuStorage, CustomOp1, Layout, Result as Candle, Shape, Tensor};

pub(super) use self::cpu::Angles;
#[cfg(feature = "cuda")]
pub(super) use self::cuda::table as angles_on;
pub use self::frequencies::{RopeScaling, Rotary};
use super::input::input;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};

/// x (batch, time, heads, dim) rotated by the angles of positions `offset..offset + time`; `dim` is even.
///
/// # Errors
/// An odd `dim`, another rank, or `interrupted`, when the user cancels.
pub fn rope(x: &Tensor, rotary: &Rotary, offset: usize, interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let x = input(x, "rope")?;
    let (_, time, _, dim) = x.dims4()?;
    if dim % 2 == 1 {
        return Err(Error::mistake(format!("rotary positions need an even head width, not {dim}")));
    }
    let angles = Angles::get(rotary, dim, offset..offset + time);
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::rope(&x, &angles, offset, interrupt);
    }
    Ok(autograd::apply1(&x, Rope { angles, offset, interrupt: interrupt.clone() }, Saves::NOTHING)?)
}

struct Rope {
    angles: Angles,
    offset: usize,
    interrupt: Interrupt,
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Candle<(CpuStorage, Shape)> {
        let y = cpu::rotate(floats_of(x, l)?, l.shape().dims4()?, &self.angles, self.offset, 1.0);
        Ok((CpuStorage::F32(y), l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<Option<Tensor>> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let dx = cpu::rotate(&floats(&dy)?, x.dims4()?, &self.angles, self.offset, -1.0);
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::ops::reference::{close, hold_on, on_both_devices, random, values};

    /// `x · cos + rotate_half(x) · sin`, as `transformers` writes it.
    fn naive(x: &Tensor, theta: f64, offset: usize) -> Candle<Tensor> {
        let (_, time, _, dim) = x.dims4()?;
        let half = dim / 2;
        let mut angles = Vec::new();
        for t in 0..time {
            for i in 0..dim {
                angles.push(((t + offset) as f64 * theta.powf(-2.0 * (i % half) as f64 / dim as f64)) as f32);
            }
        }
        let angles = Tensor::from_vec(angles, (1, time, 1, dim), &Device::Cpu)?;
        let (left, right) = (x.narrow(3, 0, half)?, x.narrow(3, half, half)?);
        let rotated = Tensor::cat(&[right.neg()?, left], 3)?;
        x.broadcast_mul(&angles.cos()?)? + rotated.broadcast_mul(&angles.sin()?)?
    }

    on_both_devices! {
        fn it_equals_its_reference(device) {
            for (seed, shape, offset) in [(0, [1, 1, 1, 2], 0), (1, [2, 7, 3, 6], 5), (2, [3, 33, 5, 64], 100)] {
                let x = random(&shape, seed);
                hold_on(device, &format!("{shape:?}"), &[x], |x, i| rope(&x[0], &Rotary::plain(1e4), offset, i), |x| naive(&x[0], 1e4, offset));
            }
        }
    }

    #[test]
    fn a_later_offset_is_a_later_position() {
        let x = random(&[1, 9, 2, 8], 3);
        let whole = rope(&x, &Rotary::plain(1e4), 0, &Interrupt::new()).unwrap();
        let last = rope(&x.narrow(1, 8, 1).unwrap(), &Rotary::plain(1e4), 8, &Interrupt::new()).unwrap();
        close("last", &last, &whole.narrow(1, 8, 1).unwrap(), 0.0);
        // Beyond the first table, and after another base.
        let far = rope(&x, &Rotary::plain(1e4), 5000, &Interrupt::new()).unwrap();
        assert_ne!(values(&rope(&x, &Rotary::plain(5e5), 5000, &Interrupt::new()).unwrap()), values(&far));
        close("far", &rope(&x, &Rotary::plain(1e4), 5000, &Interrupt::new()).unwrap(), &far, 0.0);
    }

    #[test]
    fn an_odd_width_is_refused() {
        assert!(
            rope(&random(&[1, 2, 1, 3], 0), &Rotary::plain(1e4), 0, &Interrupt::new()).is_err_and(|e| e.is_mistake())
        );
    }
}
