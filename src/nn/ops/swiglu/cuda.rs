//! The gate on a GPU.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::{Result as Candle, Tensor};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::ops::cuda::{Cheap, Source, alloc, cheap2, elements, gpu, held, launch, source, tensor};
use crate::nn::tape;

static SOURCE: Source = source!("swiglu", "../cuda");

/// As [`super::swiglu`], of tensors of one shape.
pub(super) fn swiglu(gate: &Tensor, up: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
    let (gate, up) = (tape::apply_contiguous(gate)?, tape::apply_contiguous(up)?);
    let make = |device: &CudaDevice, [gate, up]: [CudaView<'_, f32>; 2]| forward(device, &gate, &up);
    cheap2([&gate, &up], &Cheap { name: "swiglu", interrupt }, Box::new(make), |[gate, up], _, dy| {
        let [dgate, dup] = backward(gate, up, dy)?;
        Ok([Some(dgate), Some(dup)])
    })
}

fn forward(device: &CudaDevice, gate: &CudaView<'_, f32>, up: &CudaView<'_, f32>) -> Candle<CudaSlice<f32>> {
    let n = gate.len();
    let (mut out, count) = (alloc::<f32>(device, n)?, n as u64);
    if n > 0 {
        launch!(device, SOURCE, "swiglu_forward", elements(n), gate, up, &mut out, &count);
    }
    Ok(out)
}

fn backward(gate: &Tensor, up: &Tensor, dy: &Tensor) -> Candle<[Tensor; 2]> {
    let (device, n, shape) = (gpu(gate)?, gate.elem_count(), gate.shape());
    let (mut dgate, mut dup) = (alloc::<f32>(device, n)?, alloc::<f32>(device, n)?);
    let (gate, up, dy) = (held(gate)?, held(up)?, held(dy)?);
    let (gate, up, dy) = (gate.view::<f32>()?, up.view::<f32>()?, dy.view::<f32>()?);
    let count = n as u64;
    if n > 0 {
        launch!(device, SOURCE, "swiglu_backward", elements(n), &gate, &up, &dy, &mut dgate, &mut dup, &count);
    }
    Ok([tensor(dgate, shape, device), tensor(dup, shape, device)])
}
