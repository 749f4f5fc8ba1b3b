//! In-place ops: they write to their first input.

use std::cell::Cell;

use candle_core::cuda_backend::cudarc::driver::{CudaView, CudaViewMut};
use candle_core::cuda_backend::{CudaDevice, CudaStorage};
use candle_core::{CpuStorage, InplaceOp2, Layout, Result as Candle, Tensor};

/// Calls `work` with the device, the values of `x`, mutable, and those of `y`.
///
/// # Errors
/// Tensors that are not contiguous, of f32 and on one GPU; and what `work` fails with.
pub(in crate::nn) fn in_place<F>(name: &'static str, x: &Tensor, y: &Tensor, work: F) -> Candle<()>
where
    F: FnOnce(&CudaDevice, &mut CudaViewMut<'_, f32>, &CudaView<'_, f32>) -> Candle<()>,
{
    // candle passes the op by shared reference, once.
    x.inplace_op2(y, &InPlace { name, work: Cell::new(Some(work)) })
}

struct InPlace<F> {
    name: &'static str,
    work: Cell<Option<F>>,
}

impl<F> InplaceOp2 for InPlace<F>
where
    F: FnOnce(&CudaDevice, &mut CudaViewMut<'_, f32>, &CudaView<'_, f32>) -> Candle<()>,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Candle<()> {
        Err(candle_core::Error::msg(format!("{}: what it changes is on the CPU, not on the GPU", self.name)))
    }

    fn cuda_fwd(&self, x: &mut CudaStorage, xl: &Layout, y: &CudaStorage, yl: &Layout) -> Candle<()> {
        let (Some((start, end)), Some((y_start, y_end)), Some(work)) =
            (xl.contiguous_offsets(), yl.contiguous_offsets(), self.work.take())
        else {
            return Err(candle_core::Error::RequiresContiguous { op: self.name }.bt());
        };
        let device = x.device.clone();
        let y = y.as_cuda_slice::<f32>()?.slice(y_start..y_end);
        let mut x = x.as_cuda_slice_mut::<f32>()?.slice_mut(start..end);
        work(&device, &mut x, &y)
    }
}
