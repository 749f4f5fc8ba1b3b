//! Activations on a GPU.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::{Result as Candle, Tensor};

use super::Activation;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd;
use crate::nn::cuda::{KernelSource, alloc, elements, gpu, held, launch, source, tensor};
use crate::nn::ops::cuda::{Binary, Cheap, cheap1};

static SOURCE: KernelSource = source!("activation", "../../cuda");

/// As [`super::activate`].
pub(super) fn activate(x: &Tensor, activation: Activation, interrupt: &Interrupt) -> Result<Tensor> {
    let (forward, backward) = match activation {
        Activation::Relu => ("forward_relu", "backward_relu"),
        Activation::Silu => ("forward_silu", "backward_silu"),
        Activation::Gelu => ("forward_gelu", "backward_gelu"),
        Activation::GeluTanh => ("forward_gelu_tanh", "backward_gelu_tanh"),
    };
    let x = autograd::apply_contiguous(x)?;
    let make = move |device: &CudaDevice, [x]: [CudaView<'_, f32>; 1]| output(device, &x, forward);
    cheap1(&x, &Cheap { name: "activate", interrupt }, Box::new(make), move |[x], _, dy| {
        Ok([Some(gradient(x, dy, backward)?)])
    })
}

fn output(device: &CudaDevice, x: &CudaView<'_, f32>, kernel: &'static str) -> Candle<CudaSlice<f32>> {
    let n = x.len();
    let (mut out, count) = (alloc::<f32>(device, n)?, n as u64);
    if n > 0 {
        launch!(device, SOURCE, kernel, elements(n), x, &mut out, &count);
    }
    Ok(out)
}

fn gradient(x: &Tensor, dy: &Tensor, kernel: &'static str) -> Candle<Tensor> {
    let (device, n, shape) = (gpu(x)?, x.elem_count(), x.shape());
    let mut dx = alloc::<f32>(device, n)?;
    let (x, dy, count) = (held(x)?, held(dy)?, n as u64);
    let (x, dy) = (x.view::<f32>()?, dy.view::<f32>()?);
    if n > 0 {
        launch!(device, SOURCE, kernel, elements(n), &x, &dy, &mut dx, &count);
    }
    Ok(tensor(dx, shape, device))
}

/// As [`super::gated()`], of tensors of one shape.
pub(super) fn gated(gate: &Tensor, up: &Tensor, activation: Activation, interrupt: &Interrupt) -> Result<Tensor> {
    let (forward, backward) = match activation {
        Activation::Relu => ("gated_forward_relu", "gated_backward_relu"),
        Activation::Silu => ("gated_forward_silu", "gated_backward_silu"),
        Activation::Gelu => ("gated_forward_gelu", "gated_backward_gelu"),
        Activation::GeluTanh => ("gated_forward_gelu_tanh", "gated_backward_gelu_tanh"),
    };
    Binary { name: "gated", source: &SOURCE, forward, backward }.apply(gate, up, interrupt)
}
