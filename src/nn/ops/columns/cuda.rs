//! Column ranges on a GPU.

use std::ops::Range;

use candle_core::{Result as Candle, Tensor};

use super::with_last;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::cuda::{KernelSource, alloc, elements, gpu, held, launch, source, tensor};
use crate::nn::ops::cuda::{Made, op1};

static SOURCE: KernelSource = source!("columns", "../../cuda");

/// [`super::columns`] for a valid range.
pub(super) fn columns(x: &Tensor, range: Range<usize>, interrupt: &Interrupt) -> Result<Tensor> {
    let x = autograd::apply_contiguous(x)?;
    let device = gpu(&x)?;
    let shape = with_last(x.dims(), range.len());
    let n = shape.elem_count();
    let mut values = alloc::<f32>(device, n)?;
    let numbers = [range.start, range.len(), x.dims().last().copied().unwrap_or(0)].map(|n| n as u64);
    let [first_column, taken, width] = numbers;
    let count = n as u64;
    if n > 0 {
        let source = held(&x)?;
        let source = source.view::<f32>()?;
        launch!(
            device,
            SOURCE,
            "columns_take",
            elements(n),
            &source,
            &mut values,
            &first_column,
            &taken,
            &width,
            &count
        );
    }
    let made = Made { name: "columns", values, shape, device, saves: Saves::NOTHING, interrupt };
    op1(&x, made, move |[x], _, dy| Ok([Some(gradient(x, dy, numbers)?)]))
}

fn gradient(x: &Tensor, dy: &Tensor, [first_column, taken, width]: [u64; 3]) -> Candle<Tensor> {
    let (device, n, shape) = (gpu(x)?, x.elem_count(), x.shape());
    let mut dx = alloc::<f32>(device, n)?;
    let (dy, count) = (held(dy)?, n as u64);
    let dy = dy.view::<f32>()?;
    if n > 0 {
        launch!(device, SOURCE, "columns_put", elements(n), &dy, &mut dx, &first_column, &taken, &width, &count);
    }
    Ok(tensor(dx, shape, device))
}
