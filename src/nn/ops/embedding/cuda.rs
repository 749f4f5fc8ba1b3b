//! Embedding on a GPU. Ids are not checked, since the host would have to wait: an id beyond the table gives NaN.

use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Result as Candle, Shape, Tensor};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::cuda::{KernelSource, alloc, blocks, elements, gpu, held, launch, source, tensor};
use crate::nn::ops::cuda::{Made, op1};

static SOURCE: KernelSource = source!("embedding", "../../cuda");

/// [`super::embedding`] for u32 ids.
pub(super) fn embedding(ids: &Tensor, table: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
    let (ids, table) = (ids.to_device(table.device())?.contiguous()?, autograd::apply_contiguous(table)?);
    let device = gpu(&table)?;
    let hidden = table.dims2()?.1;
    let values = gather(&ids, &table)?;
    let dims: Vec<usize> = ids.dims().iter().copied().chain([hidden]).collect();
    let shape = Shape::from(dims);
    let made = Made { name: "embedding", values, shape, device, saves: Saves::NOTHING, interrupt };
    op1(&table, made, move |[table], _, dy| Ok([Some(scatter(&ids, table, dy)?)]))
}

fn gather(ids: &Tensor, table: &Tensor) -> Candle<CudaSlice<f32>> {
    let (device, count) = (gpu(table)?, ids.elem_count());
    let (rows, hidden) = table.dims2()?;
    let n = count * hidden;
    let mut out = alloc::<f32>(device, n)?;
    let (ids, table) = (held(ids)?, held(table)?);
    let (ids, table) = (ids.view::<u32>()?, table.view::<f32>()?);
    let (count, rows, hidden) = (count as u64, rows as i32, hidden as i32);
    if n > 0 {
        launch!(device, SOURCE, "embedding_gather", elements(n), &ids, &table, &mut out, &count, &rows, &hidden);
    }
    Ok(out)
}

fn scatter(ids: &Tensor, table: &Tensor, dy: &Tensor) -> Candle<Tensor> {
    let (device, count, shape) = (gpu(table)?, ids.elem_count(), table.shape());
    let (rows, hidden) = table.dims2()?;
    let mut out = alloc::<f32>(device, rows * hidden)?;
    let (ids, dy) = (held(ids)?, held(dy)?);
    let (ids, dy) = (ids.view::<u32>()?, dy.view::<f32>()?);
    let (count, hidden) = (count as i32, hidden as i32);
    if rows > 0 {
        launch!(device, SOURCE, "embedding_scatter", blocks(rows, 1), &ids, &dy, &mut out, &count, &hidden);
    }
    Ok(tensor(out, shape, device))
}
