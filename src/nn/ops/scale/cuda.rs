//! Products with a constant on a GPU.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::{Result as Candle, Tensor};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd;
use crate::nn::cuda::{KernelSource, alloc, elements, gpu, held, launch, source, tensor};
use crate::nn::ops::cuda::{Cheap, cheap1};

static SOURCE: KernelSource = source!("scale", "../../cuda");

/// As [`super::scale()`].
pub(super) fn scale(x: &Tensor, factor: f32, interrupt: &Interrupt) -> Result<Tensor> {
    let x = autograd::apply_contiguous(x)?;
    let make = move |device: &CudaDevice, [x]: [CudaView<'_, f32>; 1]| scaled(device, &x, factor);
    cheap1(&x, &Cheap { name: "scale", interrupt }, Box::new(make), move |[x], _, dy| {
        let (device, dy) = (gpu(x)?, held(dy)?);
        Ok([Some(tensor(scaled(device, &dy.view::<f32>()?, factor)?, x.shape(), device))])
    })
}

fn scaled(device: &CudaDevice, x: &CudaView<'_, f32>, factor: f32) -> Candle<CudaSlice<f32>> {
    let n = x.len();
    let (mut y, count) = (alloc::<f32>(device, n)?, n as u64);
    if n > 0 {
        launch!(device, SOURCE, "scale", elements(n), x, &mut y, &factor, &count);
    }
    Ok(y)
}
