//! Tensors as device memory, and device memory as tensors.

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DeviceRepr};
use candle_core::cuda_backend::{CudaDType, CudaDevice, CudaStorage};
use candle_core::op::BackpropOp;
use candle_core::{Result as Candle, Shape, Storage, StorageRef, Tensor};

use super::gpu_error::fault;

/// The GPU of a tensor.
///
/// # Errors
/// A tensor on the CPU.
pub(in crate::nn) fn gpu(x: &Tensor) -> Candle<&CudaDevice> {
    x.device().as_cuda_device()
}

/// The values of a tensor on the device, borrowed.
pub(in crate::nn) struct DeviceValues<'a> {
    storage: StorageRef<'a>,
    start: usize,
    end: Option<usize>,
}

impl DeviceValues<'_> {
    /// The memory as a kernel argument.
    ///
    /// # Errors
    /// Values of another type.
    pub(in crate::nn) fn view<T: CudaDType>(&self) -> Candle<CudaView<'_, T>> {
        let Storage::Cuda(storage) = &*self.storage else {
            return Err(candle_core::Error::msg("a GPU op needs tensors on the GPU"));
        };
        let values = storage.as_cuda_slice::<T>()?;
        Ok(values.slice(self.start..self.end.unwrap_or(values.len())))
    }
}

/// Borrows a contiguous tensor.
///
/// # Errors
/// A tensor that is not contiguous.
pub(in crate::nn) fn held(x: &Tensor) -> Candle<DeviceValues<'_>> {
    let (storage, layout) = x.storage_and_layout();
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(DeviceValues { storage, start, end: Some(end) }),
        None => Err(candle_core::Error::RequiresContiguous { op: "a GPU op" }.bt()),
    }
}

/// Borrows a tensor from its first value on, with any strides.
pub(in crate::nn) fn held_from(x: &Tensor) -> DeviceValues<'_> {
    let (storage, layout) = x.storage_and_layout();
    DeviceValues { storage, start: layout.start_offset(), end: None }
}

/// Uninitialised memory for n values, which a kernel writes next.
///
/// # Errors
/// When the memory is full.
pub(in crate::nn) fn alloc<T: DeviceRepr>(device: &CudaDevice, n: usize) -> Candle<CudaSlice<T>> {
    // SAFETY: every caller hands it to a kernel that writes all of it before anyone reads; a length of 0 is refused by
    // the driver, and no kernel runs then.
    unsafe { device.alloc::<T>(n.max(1)) }
}

/// A copy of host values on the device.
///
/// # Errors
/// When the memory is full.
pub(in crate::nn) fn upload<T: DeviceRepr + 'static>(device: &CudaDevice, values: &[T]) -> Candle<CudaSlice<T>> {
    device.clone_htod(values)
}

/// A copy of device values on the host, after waiting for them.
///
/// # Errors
/// What the driver says about this or earlier work.
pub(in crate::nn) fn host<T: DeviceRepr>(device: &CudaDevice, values: &CudaSlice<T>) -> Candle<Vec<T>> {
    let stream = device.cuda_stream();
    let copied = stream.clone_dtoh(values).map_err(fault)?;
    stream.synchronize().map_err(fault)?;
    Ok(copied)
}

/// Values as a tensor without a gradient.
pub(in crate::nn) fn tensor(values: CudaSlice<f32>, shape: impl Into<Shape>, device: &CudaDevice) -> Tensor {
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(values, device.clone()));
    Tensor::from_storage(storage, shape, BackpropOp::none(), false)
}
