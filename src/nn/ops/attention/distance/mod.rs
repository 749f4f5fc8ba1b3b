//! Attention by distance on a GPU: the gradients of biases and relative vectors, and their concatenation with the
//! queries.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, CudaViewMut};
use candle_core::{Result as Candle, Shape, Tensor};

use super::cpu::Sizes;
use super::cuda_inputs::{Axes, Extra, WARPS};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::cuda::{KernelSource, alloc, blocks, elements, gpu, held, launch, source, tensor};
use crate::nn::ops::cuda::{Made, op2};

pub(super) static SOURCE: KernelSource = source!("attention_by_distance", "../../../cuda", "../tiles.cuh");

/// The values of two contiguous tensors, concatenated.
pub(super) fn join(a: &Tensor, b: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
    let (device, n, m) = (gpu(a)?, a.elem_count(), b.elem_count());
    let mut values = alloc::<f32>(device, n + m)?;
    for (x, range) in [(a, 0..n), (b, n..n + m)] {
        copy(device, x, &mut values.slice_mut(range))?;
    }
    let made = Made { name: "join", values, shape: Shape::from(n + m), device, saves: Saves::NOTHING, interrupt };
    op2([a, b], made, move |[a, b], _, dy| {
        let da = dy.narrow(0, 0, n)?.reshape(a.shape())?;
        if !autograd::needs_grad(b) {
            return Ok([Some(da), None]);
        }
        // A copy, or this gradient would keep the memory of the queries' gradient.
        let mut db = alloc::<f32>(gpu(dy)?, m)?;
        copy(gpu(dy)?, &dy.narrow(0, n, m)?, &mut db.slice_mut(..m))?;
        Ok([Some(da), Some(tensor(db, b.shape(), gpu(dy)?))])
    })
}

fn copy(device: &CudaDevice, x: &Tensor, to: &mut CudaViewMut<'_, f32>) -> Candle<()> {
    if x.elem_count() > 0 {
        let x = held(x)?;
        device.memcpy_dtod(&x.view::<f32>()?, to)?;
    }
    Ok(())
}

/// The kernels for heads of up to some width.
pub(super) struct DistanceKernels {
    pub(super) bias_gradient: &'static str,
    pub(super) vector_gradient: &'static str,
    /// Distances for each warp.
    pub(super) rows: usize,
}

/// The inputs of backward, on the device.
pub(super) struct DistanceInputs<'a> {
    pub(super) q: &'a CudaView<'a, f32>,
    pub(super) k: &'a CudaView<'a, f32>,
    pub(super) v: &'a CudaView<'a, f32>,
    pub(super) dy: &'a CudaView<'a, f32>,
    pub(super) sums: &'a CudaSlice<f32>,
    pub(super) delta: &'a CudaSlice<f32>,
    pub(super) axes: &'a Axes,
}

/// Writes the gradients of biases and then of vectors to `out`, as far as they are needed.
pub(super) fn gradients(
    device: &CudaDevice,
    given: &DistanceInputs<'_>,
    s: &Sizes,
    kernels: &DistanceKernels,
    extra: &Extra,
    out: &mut CudaViewMut<'_, f32>,
) -> Candle<()> {
    let wanted = |x: &Option<Tensor>| x.as_ref().is_some_and(|x| autograd::needs_grad(x) && x.elem_count() > 0);
    let (bias, vectors) = (wanted(&extra.bias), wanted(&extra.vectors));
    let DistanceInputs { q, k, v, dy, sums, delta, axes } = *given;
    let (heads, places) = (s.heads, s.distances());
    let config = blocks(heads * places.div_ceil(WARPS * kernels.rows), 1);
    let (mut dbias, mut dvectors) = out.split_at_mut(extra.biases());
    if !bias && !vectors {
        return Ok(());
    }
    if extra.vectors.is_none() {
        launch!(device, SOURCE, kernels.bias_gradient, config, q, k, v, dy, sums, delta, &mut dbias, axes);
        return Ok(());
    }
    // Scores include the vectors, whether these need a gradient or not.
    let (shared, name) = (extra.own() < heads, kernels.vector_gradient);
    let mut each = if shared { Some(alloc::<f32>(device, places * heads * s.dim)?) } else { None };
    let mut own = each.as_mut().map_or_else(|| dvectors.slice_mut(..), |each| each.slice_mut(..));
    if bias {
        launch!(device, SOURCE, name, config, q, k, v, dy, sums, delta, &mut dbias, &mut own, axes);
    } else {
        let none = 0u64;
        launch!(device, SOURCE, name, config, q, k, v, dy, sums, delta, &none, &mut own, axes);
    }
    if let (Some(each), true) = (&each, vectors) {
        let (n, heads, dim) = ((places * s.dim) as u64, heads as i32, s.dim as i32);
        let config = elements(places * s.dim);
        launch!(device, SOURCE, "attention_share", config, each, &mut dvectors, &n, &heads, &dim);
    }
    Ok(())
}
