//! AdamW and the square norm on a GPU.

use std::sync::{Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::cuda_backend::{CudaDevice, CudaStorage};
use candle_core::{CpuStorage, InplaceOp2, Layout, Result as Candle, Tensor, Var};

use super::AdamWStep;
use super::cpu::Factors;
use crate::nn::ops::cuda::{Source, alloc, blocks, elements, gpu, held, host, launch, source, upload};

pub(super) static SOURCE: Source = source!("adamw", "../cuda");

/// Parts of a sum of squares, however large the tensor.
const PARTS: usize = 128;
/// Values that a part should have at least.
const LEAST: usize = 4096;

/// The two moments of a parameter.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    device: CudaDevice,
    m: CudaSlice<f32>,
    v: CudaSlice<f32>,
}

impl Moments {
    pub(super) fn new(parameter: &Var, m: &[f32], v: &[f32]) -> Candle<Self> {
        let (device, n) = (gpu(parameter)?, parameter.elem_count());
        let copy = |moment: &[f32]| match moment.len() {
            0 => device.alloc_zeros::<f32>(n.max(1)),
            len if len == n => upload(device, moment),
            len => Err(candle_core::Error::msg(format!("{len} moments for {n} values"))),
        };
        Ok(Self { device: device.clone(), m: copy(m)?, v: copy(v)? })
    }

    pub(super) fn step(&mut self, parameter: &Var, gradient: &Tensor, hyper: &AdamWStep) -> Candle<()> {
        let Self { m, v, .. } = self;
        parameter.inplace_op2(&gradient.contiguous()?, &Update { moments: Mutex::new((m, v)), hyper: *hyper })
    }

    pub(super) fn to_host(&self) -> Candle<(Vec<f32>, Vec<f32>)> {
        Ok((host(&self.device, &self.m)?, host(&self.device, &self.v)?))
    }
}

struct Update<'a> {
    // The op is asked through a shared reference; the lock is never contended.
    moments: Mutex<(&'a mut CudaSlice<f32>, &'a mut CudaSlice<f32>)>,
    hyper: AdamWStep,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
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
        let (m, v) = &mut *moments;
        let Factors { shrink, toward, beta, fresh, root, eps, step } = Factors::of(&self.hyper);
        let n = end - start;
        let (count, config) = (n as u64, elements(n));
        if n > 0 {
            launch!(
                &device,
                SOURCE,
                "adamw_update",
                config,
                &mut p,
                &g,
                &mut **m,
                &mut **v,
                &count,
                &shrink,
                &toward,
                &beta,
                &fresh,
                &root,
                &eps,
                &step
            );
        }
        Ok(())
    }
}

/// The sums of squares of several tensors on one device; the host waits once for all of them.
pub(super) fn square_norms(tensors: &[Tensor]) -> Candle<f64> {
    let Some(first) = tensors.first() else { return Ok(0.0) };
    let device = gpu(first)?;
    let counts: Vec<usize> = tensors.iter().map(|x| x.elem_count().div_ceil(LEAST).min(PARTS)).collect();
    let mut parts = alloc::<f64>(device, counts.iter().sum())?;
    let mut at = 0;
    for (x, &count) in tensors.iter().zip(&counts).filter(|(_, count)| **count > 0) {
        let x = x.contiguous()?;
        let (n, x) = (x.elem_count() as u64, held(&x)?);
        let x = x.view::<f32>()?;
        let mut out = parts.slice_mut(at..at + count);
        launch!(device, SOURCE, "square_sums", blocks(count, 1), &x, &mut out, &n);
        at += count;
    }
    Ok(host(device, &parts)?[..at].iter().sum())
}
