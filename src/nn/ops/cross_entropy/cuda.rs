//! Cross-entropy on a GPU; the host waits for neither the loss nor its gradient.

use std::sync::Arc;

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Result as Candle, Shape, Tensor};

use crate::data::IGNORE;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::cuda::{KernelSource, alloc, blocks, gpu, held, launch, source, tensor, upload};
use crate::nn::ops::cuda::{Made, op1};

static SOURCE: KernelSource = source!("cross_entropy", "../../cuda");

/// Values that backward needs.
struct SavedRows {
    labels: CudaSlice<u32>,
    /// The log-sum-exp of each row.
    sums: CudaSlice<f32>,
    /// The number of labels that are not ignored, at least 1.
    counted: usize,
}

/// [`super::cross_entropy`] for valid labels.
pub(super) fn cross_entropy(logits: &Tensor, labels: &[u32], interrupt: &Interrupt) -> Result<Tensor> {
    let logits = autograd::apply_contiguous(logits)?;
    let device = gpu(&logits)?;
    let counted = labels.iter().filter(|&&label| label != IGNORE).count().max(1);
    let labels = if labels.is_empty() { upload(device, &[IGNORE])? } else { upload(device, labels)? };
    let mut rows = SavedRows { labels, sums: alloc(device, logits.dims2()?.0)?, counted };
    let values = forward(&logits, &mut rows)?;
    let shape = Shape::from(());
    let made = Made { name: "cross_entropy", values, shape, device, saves: Saves::INPUTS, interrupt };
    let rows = Arc::new(rows);
    op1(&logits, made, move |[logits], _, dy| Ok([Some(backward(logits, &rows, dy)?)]))
}

fn forward(logits: &Tensor, rows: &mut SavedRows) -> Candle<CudaSlice<f32>> {
    let device: &CudaDevice = gpu(logits)?;
    let (count, vocabulary) = logits.dims2()?;
    let (mut losses, mut out) = (alloc::<f32>(device, count)?, alloc::<f32>(device, 1)?);
    let logits = held(logits)?;
    let (logits, n) = (logits.view::<f32>()?, vocabulary as i32);
    let (labels, sums) = (&rows.labels, &mut rows.sums);
    if count > 0 && vocabulary > 0 {
        launch!(device, SOURCE, "cross_entropy_rows", blocks(count, 1), &logits, labels, sums, &mut losses, &n);
    }
    let (count, counted) = (if vocabulary > 0 { count as i32 } else { 0 }, rows.counted as i32);
    launch!(device, SOURCE, "cross_entropy_mean", blocks(1, 1), &losses, &mut out, &count, &counted);
    Ok(out)
}

fn backward(logits: &Tensor, rows: &SavedRows, dy: &Tensor) -> Candle<Tensor> {
    let (device, shape) = (gpu(logits)?, logits.shape());
    let (count, vocabulary) = logits.dims2()?;
    let mut dlogits = alloc::<f32>(device, count * vocabulary)?;
    let (logits, dy) = (held(logits)?, held(dy)?);
    let (logits, dy, n, counted) = (logits.view::<f32>()?, dy.view::<f32>()?, vocabulary as i32, rows.counted as i32);
    let (labels, sums) = (&rows.labels, &rows.sums);
    if count * vocabulary > 0 {
        let name = "cross_entropy_backward";
        launch!(device, SOURCE, name, blocks(count, 1), &logits, labels, sums, &dy, &mut dlogits, &n, &counted);
    }
    Ok(tensor(dlogits, shape, device))
}
