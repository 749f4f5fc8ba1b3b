//! Element-wise functions of two tensors on a GPU, such as gates.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::{Result as Candle, Tensor};

use super::{Cheap, cheap2};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd;
use crate::nn::cuda::{KernelSource, alloc, elements, gpu, held, launch, tensor};

/// An op and its kernels: `forward(x, y, out, n)` and `backward(x, y, dout, dx, dy, n)`.
#[derive(Clone, Copy)]
pub(in crate::nn) struct Binary {
    pub(in crate::nn) name: &'static str,
    pub(in crate::nn) source: &'static KernelSource,
    pub(in crate::nn) forward: &'static str,
    pub(in crate::nn) backward: &'static str,
}

impl Binary {
    /// The output for tensors of one shape; it is recomputed in backward rather than kept.
    pub(in crate::nn) fn apply(self, x: &Tensor, y: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        let (x, y) = (autograd::apply_contiguous(x)?, autograd::apply_contiguous(y)?);
        let make = move |device: &CudaDevice, [x, y]: [CudaView<'_, f32>; 2]| self.output(device, &x, &y);
        cheap2([&x, &y], &Cheap { name: self.name, interrupt }, Box::new(make), move |[x, y], _, dout| {
            Ok(self.gradients(x, y, dout)?.map(Some))
        })
    }

    fn output(self, device: &CudaDevice, x: &CudaView<'_, f32>, y: &CudaView<'_, f32>) -> Candle<CudaSlice<f32>> {
        let n = x.len();
        let (mut out, count) = (alloc::<f32>(device, n)?, n as u64);
        if n > 0 {
            launch!(device, *self.source, self.forward, elements(n), x, y, &mut out, &count);
        }
        Ok(out)
    }

    fn gradients(self, x: &Tensor, y: &Tensor, dout: &Tensor) -> Candle<[Tensor; 2]> {
        let (device, n, shape) = (gpu(x)?, x.elem_count(), x.shape());
        let (mut dx, mut dy) = (alloc::<f32>(device, n)?, alloc::<f32>(device, n)?);
        let (x, y, dout) = (held(x)?, held(y)?, held(dout)?);
        let (x, y, dout) = (x.view::<f32>()?, y.view::<f32>()?, dout.view::<f32>()?);
        let count = n as u64;
        if n > 0 {
            launch!(device, *self.source, self.backward, elements(n), &x, &y, &dout, &mut dx, &mut dy, &count);
        }
        Ok([tensor(dx, shape, device), tensor(dy, shape, device)])
    }
}
