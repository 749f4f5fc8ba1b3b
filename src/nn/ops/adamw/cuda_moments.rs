//! The two moments of a parameter in the memory of a GPU.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Result as Candle, Var};

use crate::nn::cuda::{gpu, host, upload};

/// The two moments of a parameter.
#[derive(Debug, Clone)]
pub(super) struct CudaMoments {
    device: CudaDevice,
    pub(super) m: CudaSlice<f32>,
    pub(super) v: CudaSlice<f32>,
}

impl CudaMoments {
    pub(super) fn new(parameter: &Var, m: &[f32], v: &[f32]) -> Candle<Self> {
        let (device, n) = (gpu(parameter)?, parameter.elem_count());
        let copy = |moment: &[f32]| match moment.len() {
            0 => device.alloc_zeros::<f32>(n.max(1)),
            len if len == n => upload(device, moment),
            len => Err(candle_core::Error::msg(format!("{len} moments for {n} values"))),
        };
        Ok(Self { device: device.clone(), m: copy(m)?, v: copy(v)? })
    }

    pub(super) fn to_host(&self) -> Candle<(Vec<f32>, Vec<f32>)> {
        Ok((host(&self.device, &self.m)?, host(&self.device, &self.v)?))
    }
}
