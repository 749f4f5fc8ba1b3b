//! Errors on a GPU and their remedies.

use std::fmt;

use candle_core::Error as Candle;
use candle_core::cuda_backend::CudaError;
use candle_core::cuda_backend::cudarc::driver::DriverError;
use candle_core::cuda_backend::cudarc::driver::sys::CUresult;

use crate::error::Error;

/// The beginning of candle's message for an op without a GPU path.
const WITHOUT_KERNEL: &str = "no cuda implementation for ";

/// An error of ours inside one of candle's.
#[derive(Debug)]
pub(super) struct GpuError {
    pub(super) message: String,
    pub(super) hint: &'static str,
}

impl fmt::Display for GpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for GpuError {}

impl From<GpuError> for Candle {
    fn from(fault: GpuError) -> Self {
        Self::Cuda(Box::new(fault))
    }
}

/// An error of the driver or of cuBLAS as one of candle's.
pub(in crate::nn) fn fault(error: impl Into<CudaError>) -> Candle {
    Candle::Cuda(Box::new(error.into()))
}

/// The error to show for one that came from the GPU; `None` for any other.
pub(in crate::nn) fn remedy(error: &Candle) -> Option<Error> {
    let inner = match error {
        Candle::Cuda(inner) => inner,
        Candle::Context { inner, .. } | Candle::WithPath { inner, .. } | Candle::WithBacktrace { inner, .. } => {
            return remedy(inner);
        }
        _ => return None,
    };
    if let Some(GpuError { message, hint }) = inner.downcast_ref() {
        return Some(Error::mistake(message.clone()).with_hint(*hint));
    }
    if let Some(CudaError::Cuda(driver)) = inner.downcast_ref() {
        return driver_fault(driver);
    }
    let text = inner.to_string();
    let op = text.strip_prefix(WITHOUT_KERNEL)?;
    Some(Error::mistake(format!("{op} has no GPU kernel yet")).with_hint("use device(\"cpu\")"))
}

fn driver_fault(error: &DriverError) -> Option<Error> {
    let DriverError(code) = error;
    match code {
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => Some(Error::mistake("the memory of the GPU is full").with_hint(
            "a smaller batch_size, gradient_checkpointing: true or a shorter max_seq_len takes less; nvidia-smi shows \
             who else uses it",
        )),
        CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
        | CUresult::CUDA_ERROR_INVALID_PTX
        | CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => Some(
            Error::mistake(format!("the driver cannot run these kernels: {error}"))
                .with_hint("install a newer NVIDIA driver, or build with an older CUDA toolkit"),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_memory_says_what_takes_less() {
        let full = fault(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY));
        let error = Error::from(full.context("in layer 3").bt());
        assert!(error.is_mistake() && error.hint().unwrap().contains("batch_size"), "{error}");
    }

    #[test]
    fn an_op_without_a_kernel_is_named() {
        let error = Error::from(Candle::Cuda(format!("{WITHOUT_KERNEL}some_op").into()).bt());
        assert!(error.is_mistake() && error.message().starts_with("some_op has no GPU kernel"), "{error}");
    }

    #[test]
    fn a_fault_of_ours_keeps_its_hint() {
        let candle = Candle::from(GpuError { message: "this".into(), hint: "that" });
        let error = Error::from(candle.bt());
        assert_eq!((error.message(), error.hint()), ("this", Some("that")));
    }
}
