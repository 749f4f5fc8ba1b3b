//! AdamW and the square norm on a GPU.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Result as Candle, Tensor, Var};

use super::AdamWStep;
use super::cpu::Factors;
use crate::nn::ops::cuda::{Source, alloc, blocks, elements, gpu, held, host, in_place, launch, source, upload};

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
        let Factors { shrink, toward, beta, fresh, root, eps, step } = Factors::of(hyper);
        in_place("adamw", parameter, &gradient.contiguous()?, |device, p, g| {
            let (n, config, name) = (p.len() as u64, elements(p.len()), "adamw_update");
            if n > 0 {
                launch!(
                    device, SOURCE, name, config, p, g, m, v, &n, &shrink, &toward, &beta, &fresh, &root, &eps, &step
                );
            }
            Ok(())
        })
    }

    pub(super) fn to_host(&self) -> Candle<(Vec<f32>, Vec<f32>)> {
        Ok((host(&self.device, &self.m)?, host(&self.device, &self.v)?))
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
