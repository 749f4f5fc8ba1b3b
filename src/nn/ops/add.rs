//! The sum of two tensors of one shape, as in residual connections.

use candle_core::Tensor;

use crate::error::Result;
use crate::nn::autograd;

/// `x + y`, of one shape. Gradients for both.
///
/// # Errors
/// Shapes that differ.
pub fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    autograd::apply_add(x, y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::autograd::{add_to, plain_sum};
    use crate::nn::ops::reference::{hold_on, on_both_devices, random, to_cpu, values};

    on_both_devices! {
        fn it_equals_its_reference(device) {
            for shape in [&[1, 7][..], &[3, 5], &[2, 70, 33], &[40_000]] {
                let inputs = [random(shape, 1), random(shape, 2)];
                let fast = |x: &[Tensor], i: &crate::interrupt::Interrupt| {
                    i.check()?;
                    let y = add(&x[0], &x[1])?;
                    // A sum's backward checks no interrupt; the op behind it does.
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
