//! AdamW with moments in 8 bits on a GPU.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Result as Candle, Tensor, Var};

use super::codes8::{BlockCodes, EightBitMaps, EightBitStep};
use super::cuda::SOURCE;
use crate::nn::cuda::{blocks, gpu, host, in_place, launch, upload};

/// Values that share a scale.
const BLOCK: usize = 256;

/// One moment.
#[derive(Debug, Clone)]
struct CudaMoment8 {
    codes: CudaSlice<u8>,
    absmax: CudaSlice<f32>,
}

/// Both moments of a parameter, and the maps of their codes.
#[derive(Debug, Clone)]
pub(super) struct CudaMoments8 {
    device: CudaDevice,
    first: CudaMoment8,
    second: CudaMoment8,
    maps: CudaSlice<f32>,
    zeros: [u8; 2],
}

impl CudaMoments8 {
    pub(super) fn new(parameter: &Var, moments: [(&[u8], &[f32]); 2], maps: &EightBitMaps<'_>) -> Candle<Self> {
        let (device, n) = (gpu(parameter)?, parameter.elem_count());
        let copy = |(codes, absmax): (&[u8], &[f32])| {
            if codes.len() != n || absmax.len() != n.div_ceil(BLOCK) || n == 0 {
                return Err(candle_core::Error::msg(format!(
                    "{} codes and {} scales for {n} values",
                    codes.len(),
                    absmax.len()
                )));
            }
            Ok(CudaMoment8 { codes: upload(device, codes)?, absmax: upload(device, absmax)? })
        };
        let [first, second] = moments;
        let values: Vec<f32> = maps.values.into_iter().flatten().copied().collect();
        Ok(Self {
            device: device.clone(),
            first: copy(first)?,
            second: copy(second)?,
            maps: upload(device, &values)?,
            zeros: maps.zeros,
        })
    }

    pub(super) fn step(&mut self, parameter: &Var, gradient: &Tensor, numbers: &EightBitStep) -> Candle<()> {
        let Self { first, second, maps, zeros, .. } = self;
        let EightBitStep { betas: (beta1, beta2), step, eps, shrink } = *numbers;
        let [zero1, zero2] = zeros.map(i32::from);
        in_place("adamw in 8 bits", parameter, &gradient.contiguous()?, |device, p, g| {
            let (n, config) = (p.len() as u64, blocks(p.len().div_ceil(BLOCK), 1));
            launch!(
                device,
                SOURCE,
                "adamw_update_8",
                config,
                p,
                g,
                &mut first.codes,
                &mut first.absmax,
                &mut second.codes,
                &mut second.absmax,
                &*maps,
                &n,
                &zero1,
                &zero2,
                &beta1,
                &beta2,
                &step,
                &eps,
                &shrink
            );
            Ok(())
        })
    }

    pub(super) fn to_host(&self) -> Candle<[BlockCodes; 2]> {
        let copy = |CudaMoment8 { codes, absmax }: &CudaMoment8| -> Candle<BlockCodes> {
            Ok((host(&self.device, codes)?, host(&self.device, absmax)?))
        };
        Ok([copy(&self.first)?, copy(&self.second)?])
    }
}
