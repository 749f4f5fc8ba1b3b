//! Sums of tensors of one shape, as residual streams and gradients are: a new one, or in place.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{CpuStorage, CustomOp2, InplaceOp2, Layout, Result as Candle, Shape, Tensor};

use super::cpu::floats_of;
use crate::error::Result;
use crate::nn::tape;

/// `x + y`, of one shape. Gradients for both.
///
/// # Errors
/// Shapes that differ.
pub fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    tape::apply_add(x, y)
}

/// `x + y` out of reach of gradients.
pub(in crate::nn) fn plain_sum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let plain = x.device().is_cpu() && x.is_contiguous() && y.is_contiguous() && x.dims() == y.dims();
    Ok(if plain { x.apply_op2_no_bwd(y, &Sum)? } else { (x.detach() + y.detach())? })
}

/// `x += y`, for an `x` whose memory no one else uses.
pub(in crate::nn) fn add_to(x: Tensor, y: &Tensor) -> Result<Tensor> {
    let plain = x.is_contiguous() && y.is_contiguous() && x.dims() == y.dims();
    #[cfg(feature = "cuda")]
    if plain && x.device().is_cuda() {
        cuda::add_to(&x, y)?;
        return Ok(x);
    }
    if !(plain && x.device().is_cpu()) {
        return plain_sum(&x, y);
    }
    x.inplace_op2(y, &Sum)?;
    Ok(x)
}

struct Sum;

impl CustomOp2 for Sum {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, y: &CpuStorage, yl: &Layout) -> Candle<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(cpu::sum(floats_of(x, xl)?, floats_of(y, yl)?)), xl.shape().clone()))
    }
}

impl InplaceOp2 for Sum {
    fn name(&self) -> &'static str {
        "add_to"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, xl: &Layout, y: &CpuStorage, yl: &Layout) -> Candle<()> {
        let (CpuStorage::F32(x), Some((start, end))) = (x, xl.contiguous_offsets()) else {
            return Err(candle_core::Error::RequiresContiguous { op: "add_to" }.bt());
        };
        cpu::add_to(&mut x[start..end], floats_of(y, yl)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::twin::{hold_on, on_both_devices, random, to_cpu, values};

    on_both_devices! {
        fn it_equals_its_twin(device) {
            for shape in [&[1, 7][..], &[3, 5], &[2, 70, 33], &[40_000]] {
                let inputs = [random(shape, 1), random(shape, 2)];
                let fast = |x: &[Tensor], i: &crate::interrupt::Interrupt| {
                    i.check()?;
                    let y = add(&x[0], &x[1])?;
                    // A sum asks no one on its way back; something that does stands behind it.
                    crate::nn::ops::rms_norm(&y, &Tensor::ones(*shape.last().unwrap(), y.dtype(), y.device())?, 1e-5, i)
                };
                let slow = |x: &[Tensor]| {
                    let y = (&x[0] + &x[1])?;
                    let mean = y.sqr()?.mean_keepdim(candle_core::D::Minus1)?;
                    y.broadcast_div(&(mean + 1e-5)?.sqrt()?)
                };
                hold_on(device, &format!("{shape:?}"), &inputs, fast, slow);
            }
        }
    }

    on_both_devices! {
        fn in_place_and_anew_are_the_same(device) {
            for n in [1, 33, 40_000] {
                let (x, y) = (random(&[n], 1), random(&[n], 2));
                let truth = values(&(&x + &y).unwrap());
                let (x, y) = (x.to_device(device).unwrap(), y.to_device(device).unwrap());
                assert_eq!(values(&to_cpu(&plain_sum(&x, &y).unwrap())), truth);
                assert_eq!(values(&to_cpu(&add_to(x.copy().unwrap(), &y).unwrap())), truth);
            }
        }
    }
}
