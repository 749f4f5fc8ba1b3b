//! RMSNorm on a GPU, one block for each row; the gradient of the weight is summed over parts of a fixed size.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::{Result as Candle, Tensor};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd;
use crate::nn::cuda::{KernelSource, alloc, blocks, gpu, held, launch, source, tensor};
use crate::nn::ops::cuda::{Cheap, cheap2};

static SOURCE: KernelSource = source!("rms_norm", "../../cuda");

/// Rows of a part of the weight's gradient.
const STEP: usize = 64;
/// Columns of a block there.
const COLUMNS: usize = 256;

/// [`super::rms_norm`] for tensors of the right shape.
pub(super) fn rms_norm(x: &Tensor, w: &Tensor, eps: f32, interrupt: &Interrupt) -> Result<Tensor> {
    let (x, w) = (autograd::apply_contiguous(x)?, autograd::apply_contiguous(w)?);
    let make = move |device: &CudaDevice, [x, w]: [CudaView<'_, f32>; 2]| forward(device, &x, &w, eps);
    cheap2([&x, &w], &Cheap { name: "rms_norm", interrupt }, Box::new(make), move |[x, w], _, dy| {
        let [dx, dw] = backward(x, w, dy, eps)?;
        Ok([Some(dx), Some(dw)])
    })
}

fn forward(device: &CudaDevice, x: &CudaView<'_, f32>, w: &CudaView<'_, f32>, eps: f32) -> Candle<CudaSlice<f32>> {
    let rows = x.len() / w.len();
    let (mut y, n) = (alloc::<f32>(device, x.len())?, w.len() as i32);
    if rows > 0 {
        launch!(device, SOURCE, "rms_norm_forward", blocks(rows, 1), x, w, &mut y, &n, &eps);
    }
    Ok(y)
}

fn backward(x: &Tensor, w: &Tensor, dy: &Tensor, eps: f32) -> Candle<[Tensor; 2]> {
    let (device, n) = (gpu(x)?, w.elem_count());
    let (rows, parts) = (x.elem_count() / n, (x.elem_count() / n).div_ceil(STEP));
    let (x_shape, w_shape) = (x.shape(), w.shape());
    let (mut dx, mut dw) = (alloc::<f32>(device, rows * n)?, alloc::<f32>(device, n)?);
    let (mut roots, mut partial) = (alloc::<f32>(device, rows)?, alloc::<f32>(device, parts * n)?);
    let (x, w, dy) = (held(x)?, held(w)?, held(dy)?);
    let (x, w, dy) = (x.view::<f32>()?, w.view::<f32>()?, dy.view::<f32>()?);
    let columns = n.div_ceil(COLUMNS);
    let (n, count, step, parts_count) = (n as i32, rows as i32, STEP as i32, parts as i32);
    if rows > 0 {
        launch!(device, SOURCE, "rms_norm_backward", blocks(rows, 1), &x, &w, &dy, &mut dx, &mut roots, &n, &eps);
        let config = blocks(columns, parts);
        launch!(device, SOURCE, "rms_norm_weight", config, &x, &dy, &roots, &mut partial, &count, &n, &step);
    }
    launch!(device, SOURCE, "rms_norm_add", blocks(columns, 1), &partial, &mut dw, &parts_count, &n);
    Ok([tensor(dx, x_shape, device), tensor(dw, w_shape, device)])
}
