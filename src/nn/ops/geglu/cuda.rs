//! The gate on a GPU.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::{Result as Candle, Tensor};

use super::Gelu;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::ops::cuda::{Cheap, Source, alloc, cheap2, elements, gpu, held, launch, source, tensor};
use crate::nn::tape;

static SOURCE: Source = source!("geglu", "../cuda");

/// The kernels of a Φ, forward and backward.
fn names(gelu: Gelu) -> [&'static str; 2] {
    match gelu {
        Gelu::Erf => ["geglu_forward_erf", "geglu_backward_erf"],
        Gelu::Tanh => ["geglu_forward_tanh", "geglu_backward_tanh"],
    }
}

/// As [`super::geglu`], of tensors of one shape.
pub(super) fn geglu(gate: &Tensor, up: &Tensor, gelu: Gelu, interrupt: &Interrupt) -> Result<Tensor> {
    let (gate, up) = (tape::apply_contiguous(gate)?, tape::apply_contiguous(up)?);
    let [ahead, back] = names(gelu);
    let make = move |device: &CudaDevice, [gate, up]: [CudaView<'_, f32>; 2]| forward(device, &gate, &up, ahead);
    cheap2([&gate, &up], &Cheap { name: "geglu", interrupt }, Box::new(make), move |[gate, up], _, dy| {
        let [dgate, dup] = backward(gate, up, dy, back)?;
        Ok([Some(dgate), Some(dup)])
    })
}

fn forward(
    device: &CudaDevice,
    gate: &CudaView<'_, f32>,
    up: &CudaView<'_, f32>,
    name: &'static str,
) -> Candle<CudaSlice<f32>> {
    let n = gate.len();
    let (mut out, count) = (alloc::<f32>(device, n)?, n as u64);
    if n > 0 {
        launch!(device, SOURCE, name, elements(n), gate, up, &mut out, &count);
    }
    Ok(out)
}

fn backward(gate: &Tensor, up: &Tensor, dy: &Tensor, name: &'static str) -> Candle<[Tensor; 2]> {
    let (device, n, shape) = (gpu(gate)?, gate.elem_count(), gate.shape());
    let (mut dgate, mut dup) = (alloc::<f32>(device, n)?, alloc::<f32>(device, n)?);
    let (gate, up, dy) = (held(gate)?, held(up)?, held(dy)?);
    let (gate, up, dy) = (gate.view::<f32>()?, up.view::<f32>()?, dy.view::<f32>()?);
    let count = n as u64;
    if n > 0 {
        launch!(device, SOURCE, name, elements(n), &gate, &up, &dy, &mut dgate, &mut dup, &count);
    }
    Ok([tensor(dgate, shape, device), tensor(dup, shape, device)])
}
