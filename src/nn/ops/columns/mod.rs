//! A range of columns of a matrix, as for the queries, keys and values of one fused projection. The gradient is 0
//! elsewhere.

#[cfg(feature = "cuda")]
mod cuda;

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, Layout, Result as Candle, Shape, Tensor};

use super::input::input;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};

/// x (…, width) -> (…, length of `range`): the columns of `range`, copied. Gradient for x.
///
/// # Errors
/// A range beyond the width, or `interrupted`, when the user cancels.
pub fn columns(x: &Tensor, range: Range<usize>, interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let x = input(x, "columns")?;
    let width = x.dims().last().copied().unwrap_or(0);
    if range.start > range.end || range.end > width {
        return Err(Error::mistake(format!("the columns {range:?} are beyond a width of {width}")));
    }
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::columns(&x, range, interrupt);
    }
    Ok(autograd::apply1(&x, Columns { range, interrupt: interrupt.clone() }, Saves::NOTHING)?)
}

struct Columns {
    range: Range<usize>,
    interrupt: Interrupt,
}

/// The shape with another last dimension.
fn with_last(dims: &[usize], last: usize) -> Shape {
    let mut dims = dims.to_vec();
    if let Some(end) = dims.last_mut() {
        *end = last;
    }
    Shape::from(dims)
}

impl CustomOp1 for Columns {
    fn name(&self) -> &'static str {
        "columns"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Candle<(CpuStorage, Shape)> {
        let (x, width, taken) = (floats_of(x, l)?, l.dims()[l.dims().len() - 1], self.range.len());
        let rows = x.len().checked_div(width).unwrap_or(0);
        let mut out = Vec::with_capacity(rows * taken);
        for row in x.chunks_exact(width.max(1)) {
            out.extend_from_slice(&row[self.range.clone()]);
        }
        Ok((CpuStorage::F32(out), with_last(l.dims(), taken)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<Option<Tensor>> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let (dy, width) = (floats(&dy)?, x.dims()[x.rank() - 1]);
        let mut dx = vec![0.0; x.elem_count()];
        if !self.range.is_empty() {
            for (dx, dy) in dx.chunks_exact_mut(width).zip(dy.chunks_exact(self.range.len())) {
                dx[self.range.clone()].copy_from_slice(dy);
            }
        }
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::reference::{hold_on, on_both_devices, random};

    on_both_devices! {
        fn it_equals_its_reference(device) {
            for (shape, range) in [(&[1, 1][..], 0..1), (&[3, 9], 3..6), (&[2, 5, 12], 8..12), (&[40, 7], 0..7)] {
                let slow = |x: &[Tensor]| x[0].narrow(x[0].rank() - 1, range.start, range.len());
                let fast = |x: &[Tensor], i: &Interrupt| columns(&x[0], range.clone(), i);
                hold_on(device, &format!("{shape:?} {range:?}"), &[random(shape, 1)], fast, slow);
            }
        }
    }

    #[test]
    fn columns_beyond_the_width_are_refused() {
        let error = columns(&random(&[2, 3], 0), 2..4, &Interrupt::new()).unwrap_err();
        assert_eq!(error.message(), "the columns 2..4 are beyond a width of 3");
    }
}
