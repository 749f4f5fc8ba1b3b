//! A table with other rows on a GPU.

use candle_core::cuda_backend::CudaDevice;
use candle_core::{Result as Candle, Tensor};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::cuda::{KernelSource, alloc, elements, gpu, held, launch, source};
use crate::nn::ops::cuda::{Made, op1};

static SOURCE: KernelSource = source!("replace_rows", "../../cuda");

/// As [`super::replace_rows`], for rows that are there.
pub(super) fn replace_rows(table: &Tensor, rows: &Tensor, ids: &[u32], interrupt: &Interrupt) -> Result<Tensor> {
    let (table, rows) = (table.contiguous()?, autograd::apply_contiguous(rows)?);
    let device = gpu(&rows)?;
    // The row that each row of the table is taken from, counted from 1; 0 is its own.
    let mut from = vec![0u32; table.dim(0)?];
    ids.iter().zip(1..).for_each(|(&id, row)| from[id as usize] = row);
    let from = Tensor::new(from, rows.device())?;
    let values = replaced(device, &table, &rows, &from)?;
    let ids = Tensor::new(ids, rows.device())?;
    let shape = table.shape().clone();
    let made = Made { name: "replace_rows", values, shape, device, saves: Saves::NOTHING, interrupt };
    op1(&rows, made, move |[_], _, dy| Ok([Some(dy.index_select(&ids, 0)?)]))
}

fn replaced(
    device: &CudaDevice,
    table: &Tensor,
    rows: &Tensor,
    from: &Tensor,
) -> Candle<candle_core::cuda_backend::cudarc::driver::CudaSlice<f32>> {
    let (count, width) = (table.elem_count(), table.dim(1)? as u64);
    let (mut y, values) = (alloc::<f32>(device, count)?, count as u64);
    if count > 0 {
        let (table, rows, from) = (held(table)?, held(rows)?, held(from)?);
        let (table, rows, from) = (table.view::<f32>()?, rows.view::<f32>()?, from.view::<u32>()?);
        launch!(device, SOURCE, "replace_rows", elements(count), &table, &rows, &from, &mut y, &values, &width);
    }
    Ok(y)
}
