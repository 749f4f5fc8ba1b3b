//! Products of columns with a vector on a GPU.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::{Result as Candle, Tensor};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd;
use crate::nn::cuda::{KernelSource, alloc, elements, gpu, held, launch, source, tensor};
use crate::nn::ops::cuda::{Cheap, cheap2};

static SOURCE: KernelSource = source!("column_scale", "../../cuda");

/// As [`super::scale_columns()`].
pub(super) fn scale_columns(x: &Tensor, m: &Tensor, n: Option<&Tensor>, interrupt: &Interrupt) -> Result<Tensor> {
    let (x, m) = (autograd::apply_contiguous(x)?, autograd::apply_contiguous(m)?);
    let n = match n {
        Some(n) => n.contiguous()?,
        None => m.detach().ones_like()?,
    };
    let forward = n.clone();
    let make = move |device: &CudaDevice, [x, m]: [CudaView<'_, f32>; 2]| scaled(device, &x, &m, &forward);
    cheap2([&x, &m], &Cheap { name: "scale_columns", interrupt }, Box::new(make), move |[x, m], _, dy| {
        let device = gpu(x)?;
        let dm = match autograd::needs_grad(m) {
            true => Some(((x * dy)?.reshape(((), m.elem_count()))?.sum(0)? / &n)?),
            false => None,
        };
        let dx = match autograd::needs_grad(x) {
            true => {
                let (dy, m) = (held(dy)?, held(m)?);
                Some(tensor(scaled(device, &dy.view::<f32>()?, &m.view::<f32>()?, &n)?, x.shape(), device))
            }
            false => None,
        };
        Ok([dx, dm])
    })
}

fn scaled(device: &CudaDevice, x: &CudaView<'_, f32>, m: &CudaView<'_, f32>, n: &Tensor) -> Candle<CudaSlice<f32>> {
    let (count, width) = (x.len(), m.len() as u64);
    let (mut y, values) = (alloc::<f32>(device, count)?, count as u64);
    if count > 0 {
        let n = held(n)?;
        let n = n.view::<f32>()?;
        launch!(device, SOURCE, "scale_columns", elements(count), x, m, &n, &mut y, &values, &width);
    }
    Ok(y)
}
