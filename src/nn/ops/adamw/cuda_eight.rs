//! AdamW with moments in 8 bits on a GPU.

use std::sync::{Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::cuda_backend::{CudaDevice, CudaStorage};
use candle_core::{CpuStorage, InplaceOp2, Layout, Result as Candle, Tensor, Var};

use super::cuda::SOURCE;
use super::eight::{Codes, EightBitMaps, EightBitStep};
use crate::nn::ops::cuda::{blocks, gpu, host, launch, upload};

/// Values that share a scale.
const BLOCK: usize = 256;

/// One moment.
#[derive(Debug, Clone)]
struct Moment {
    codes: CudaSlice<u8>,
    absmax: CudaSlice<f32>,
}

/// Both moments of a parameter, and the maps of their codes.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    device: CudaDevice,
    first: Moment,
    second: Moment,
    maps: CudaSlice<f32>,
    zeros: [u8; 2],
}

impl Moments {
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
            Ok(Moment { codes: upload(device, codes)?, absmax: upload(device, absmax)? })
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
        parameter.inplace_op2(&gradient.contiguous()?, &Update { moments: Mutex::new(self), numbers: *numbers })
    }

    pub(super) fn to_host(&self) -> Candle<[Codes; 2]> {
        let copy = |Moment { codes, absmax }: &Moment| -> Candle<Codes> {
            Ok((host(&self.device, codes)?, host(&self.device, absmax)?))
        };
        Ok([copy(&self.first)?, copy(&self.second)?])
    }
}

struct Update<'a> {
    // The op is asked through a shared reference; the lock is never contended.
    moments: Mutex<&'a mut Moments>,
    numbers: EightBitStep,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw in 8 bits"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Candle<()> {
        Err(candle_core::Error::msg("adamw: moments on the GPU of a parameter on the CPU"))
    }

    fn cuda_fwd(&self, p: &mut CudaStorage, pl: &Layout, g: &CudaStorage, gl: &Layout) -> Candle<()> {
        let (Some((start, end)), Some((g_start, g_end))) = (pl.contiguous_offsets(), gl.contiguous_offsets()) else {
            return Err(candle_core::Error::RequiresContiguous { op: "adamw" }.bt());
        };
        let device = p.device.clone();
        let g = g.as_cuda_slice::<f32>()?.slice(g_start..g_end);
        let mut p = p.as_cuda_slice_mut::<f32>()?.slice_mut(start..end);
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let Moments { first, second, maps, zeros, .. } = &mut **moments;
        let EightBitStep { betas: (beta1, beta2), step, eps, shrink } = self.numbers;
        let ([zero1, zero2], n) = (zeros.map(i32::from), end - start);
        let (count, config) = (n as u64, blocks(n.div_ceil(BLOCK), 1));
        launch!(
            &device,
            SOURCE,
            "adamw_update_8",
            config,
            &mut p,
            &g,
            &mut first.codes,
            &mut first.absmax,
            &mut second.codes,
            &mut second.absmax,
            &*maps,
            &count,
            &zero1,
            &zero2,
            &beta1,
            &beta2,
            &step,
            &eps,
            &shrink
        );
        Ok(())
    }
}
