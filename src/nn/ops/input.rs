//! Preparing the input tensors of ops: dtype, layout, and reuse of their memory in backward.

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Result};
use crate::nn::autograd;
use crate::nn::cpu::floats;

/// Prepares a tensor for the op called `op`: f32, and contiguous on the CPU (copied only if it is not). On a GPU it is
/// unchanged: the GPU path of the op checks it.
///
/// # Errors
/// Another dtype, or a device without a path for this op.
pub(in crate::nn) fn input(x: &Tensor, op: &str) -> Result<Tensor> {
    if x.dtype() != DType::F32 {
        return Err(Error::mistake(format!("{op} works on f32 tensors, this one is {:?}", x.dtype())));
    }
    match x.device() {
        Device::Cpu => Ok(autograd::apply_contiguous(x)?),
        Device::Cuda(_) if cfg!(feature = "cuda") => Ok(x.clone()),
        _ => Err(Error::mistake(format!("{op} has no GPU kernel in this build"))
            .with_hint("move the model to the CPU: device(\"cpu\")")),
    }
}

/// The values of a contiguous f32 tensor on the CPU: its own memory if this is the last op of a backward pass that
/// reads them, else a copy.
pub(in crate::nn) fn owned(x: &Tensor) -> candle_core::Result<Vec<f32>> {
    match autograd::take_donated(x)? {
        Some(values) => Ok(values),
        None => Ok(floats(x)?.to_vec()),
    }
}
