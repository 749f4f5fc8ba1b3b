//! The rotation on a GPU; the table of angles is copied from the CPU once.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::cuda_backend::{CudaDevice, DeviceId};
use candle_core::{Result as Candle, Tensor};

use super::cpu::Angles;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::cuda::{KernelSource, alloc, elements, gpu, held, launch, source, tensor, upload};
use crate::nn::ops::cuda::{Made, op1};

static SOURCE: KernelSource = source!("rope", "../../cuda");

/// A table of angles on a device.
#[derive(Clone)]
struct DeviceAngles {
    of: Angles,
    device: DeviceId,
    values: Arc<CudaSlice<f32>>,
}

/// The table copied last, since a model has one.
static LATEST: Mutex<Option<DeviceAngles>> = Mutex::new(None);

/// The table of angles on a device.
pub(in crate::nn::ops) fn table(angles: &Angles, device: &CudaDevice) -> Candle<Arc<CudaSlice<f32>>> {
    let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    match &*latest {
        Some(table) if table.of.is(angles) && table.device == device.id() => Ok(table.values.clone()),
        _ => {
            let values = Arc::new(upload(device, angles.values())?);
            *latest = Some(DeviceAngles { of: angles.clone(), device: device.id(), values: values.clone() });
            Ok(values)
        }
    }
}

/// [`super::rope`] with the angles of its positions.
pub(super) fn rope(x: &Tensor, angles: &Angles, offset: usize, interrupt: &Interrupt) -> Result<Tensor> {
    let x = autograd::apply_contiguous(x)?;
    let device = gpu(&x)?;
    let table = table(angles, device)?;
    let values = rotate(&x, &table, offset, 1.0)?;
    let shape = x.shape().clone();
    let made = Made { name: "rope", values, shape, device, saves: Saves::NOTHING, interrupt };
    op1(&x, made, move |[x], _, dy| {
        let dx = rotate(dy, &table, offset, -1.0)?;
        Ok([Some(tensor(dx, x.shape(), gpu(x)?))])
    })
}

fn rotate(x: &Tensor, table: &CudaSlice<f32>, offset: usize, way: f32) -> Candle<CudaSlice<f32>> {
    let (device, n) = (gpu(x)?, x.elem_count());
    let (_, time, heads, dim) = x.dims4()?;
    let mut out = alloc::<f32>(device, n)?;
    let (time, heads, dim, offset, pairs) = (time as i32, heads as i32, dim as i32, offset as i32, n as u64 / 2);
    let x = held(x)?;
    let x = x.view::<f32>()?;
    if n > 0 {
        let config = elements(n / 2);
        launch!(device, SOURCE, "rope_rotate", config, &x, table, &mut out, &pairs, &time, &heads, &dim, &offset, &way);
    }
    Ok(out)
}
