//! The bias of a linear layer on a GPU; its gradient is summed over parts of a fixed size, in order.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Result as Candle, Tensor};

use super::SOURCE;
use crate::nn::cuda::{alloc, blocks, elements, gpu, held, launch, tensor};

/// Rows of a part of the gradient.
const STEP: usize = 64;
/// Columns of a block there: `THREADS` in `common.cuh`.
const COLUMNS: usize = 256;

/// `y += b`: y (rows, out), b (out).
pub(super) fn add_bias(device: &CudaDevice, y: &mut CudaSlice<f32>, b: &Tensor) -> Candle<()> {
    let (n, out) = (y.len() as u64, b.elem_count() as u64);
    if n > 0 && out > 0 {
        let b = held(b)?;
        let b = b.view::<f32>()?;
        launch!(device, SOURCE, "bias_add", elements(n as usize), y, &b, &n, &out);
    }
    Ok(())
}

/// The sum of the rows of dy (…, out), contiguous -> (out).
pub(super) fn bias_gradient(dy: &Tensor, out: usize) -> Candle<Tensor> {
    let device = gpu(dy)?;
    let rows = dy.elem_count().checked_div(out).unwrap_or(0);
    let parts = rows.div_ceil(STEP);
    let (mut partial, mut db) = (alloc::<f32>(device, parts * out)?, alloc::<f32>(device, out)?);
    let columns = out.div_ceil(COLUMNS);
    let dy = held(dy)?;
    let dy = dy.view::<f32>()?;
    let (wide, count, step, parts_count) = (out as i32, rows as i32, STEP as i32, parts as i32);
    if rows > 0 {
        launch!(device, SOURCE, "bias_sum", blocks(columns, parts), &dy, &mut partial, &count, &wide, &step);
    }
    if out > 0 {
        launch!(device, SOURCE, "bias_sum_parts", blocks(columns, 1), &partial, &mut db, &parts_count, &wide);
    }
    Ok(tensor(db, out, device))
}
