//! The gate on a GPU.

use candle_core::{Result as Candle, Tensor};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::ops::cuda::{Made, Source, alloc, elements, gpu, held, launch, op2, source, tensor};
use crate::nn::tape;

static SOURCE: Source = source!("swiglu", "../cuda");

/// As [`super::swiglu`], of tensors of one shape.
pub(super) fn swiglu(gate: &Tensor, up: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
    let (gate, up) = (tape::apply_contiguous(gate)?, tape::apply_contiguous(up)?);
    let (device, n) = (gpu(&gate)?, gate.elem_count());
    let mut values = alloc::<f32>(device, n)?;
    if n > 0 {
        forward(&gate, &up, &mut values)?;
    }
    let made = Made { name: "swiglu", values, shape: gate.shape().clone(), device, interrupt };
    op2([&gate, &up], made, |[gate, up], _, dy| {
        let [dgate, dup] = backward(gate, up, dy)?;
        Ok([Some(dgate), Some(dup)])
    })
}

type Values = candle_core::cuda_backend::cudarc::driver::CudaSlice<f32>;

fn forward(gate: &Tensor, up: &Tensor, out: &mut Values) -> Candle<()> {
    let (device, n) = (gpu(gate)?, gate.elem_count());
    let (gate, up) = (held(gate)?, held(up)?);
    let (gate, up) = (gate.view::<f32>()?, up.view::<f32>()?);
    let count = n as u64;
    launch!(device, SOURCE, "swiglu_forward", elements(n), &gate, &up, out, &count);
    Ok(())
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
