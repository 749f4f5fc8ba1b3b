//! Tensors as operands of products: unchanged, or rounded to bfloat16.

use std::cell::OnceCell;

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::{Result as Candle, Tensor};
use half::bf16;

use super::super::dropout::Dropout;
use super::SOURCE;
use crate::nn::Precision;
use crate::nn::cuda::{CudaMat, alloc, elements, gpu, held, launch};

/// The values of a contiguous tensor as an operand.
pub(super) enum Factor<'a> {
    /// The tensor itself.
    Tensor(&'a Tensor),
    F32(CudaSlice<f32>),
    Bf16(CudaSlice<bf16>),
}

/// A tensor that several products of an op read: rounded once, at first use.
pub(super) struct SharedFactor<'a> {
    pub(super) x: &'a Tensor,
    precision: Precision,
    factor: OnceCell<Factor<'a>>,
}

impl<'a> SharedFactor<'a> {
    pub(super) fn new(x: &'a Tensor, precision: Precision) -> Self {
        Self { x, precision, factor: OnceCell::new() }
    }

    pub(super) fn get(&self) -> Candle<&Factor<'a>> {
        match self.factor.get() {
            Some(factor) => Ok(factor),
            None => {
                let factor = Factor::of(self.x, self.precision)?;
                Ok(self.factor.get_or_init(|| factor))
            }
        }
    }
}

impl<'a> Factor<'a> {
    pub(super) fn of(x: &'a Tensor, precision: Precision) -> Candle<Self> {
        match precision {
            Precision::F32 => Ok(Self::Tensor(x)),
            Precision::Bf16 | Precision::F16 => {
                let values = held(x)?;
                Ok(Self::Bf16(rounded(gpu(x)?, &values.view()?)?))
            }
        }
    }

    /// The part that backward can keep: rounded values, not the tensor itself.
    pub(super) fn kept(self) -> Option<Factor<'static>> {
        match self {
            Self::Tensor(_) => None,
            Self::F32(values) => Some(Factor::F32(values)),
            Self::Bf16(values) => Some(Factor::Bf16(values)),
        }
    }

    /// [`Factor::of`] for computed values.
    pub(super) fn made(device: &CudaDevice, values: CudaSlice<f32>, precision: Precision) -> Candle<Self> {
        match precision {
            Precision::F32 => Ok(Self::F32(values)),
            Precision::Bf16 | Precision::F16 => Ok(Self::Bf16(rounded(device, &values.as_view())?)),
        }
    }

    /// `drop(x)`.
    pub(super) fn dropped(x: &'a Tensor, dropout: Dropout, precision: Precision) -> Candle<Self> {
        let Dropout { below, keep, seed } = dropout;
        let (device, n) = (gpu(x)?, x.elem_count());
        let values = held(x)?;
        let (values, count) = (values.view::<f32>()?, n as u64);
        match precision {
            Precision::F32 => {
                let mut out = alloc::<f32>(device, n)?;
                if n > 0 {
                    let config = elements(n);
                    launch!(device, SOURCE, "dropout_f32", config, &values, &mut out, &count, &seed, &below, &keep);
                }
                Ok(Self::F32(out))
            }
            Precision::Bf16 | Precision::F16 => {
                let mut out = alloc::<bf16>(device, n)?;
                if n > 0 {
                    let config = elements(n);
                    launch!(device, SOURCE, "dropout_bf16", config, &values, &mut out, &count, &seed, &below, &keep);
                }
                Ok(Self::Bf16(out))
            }
        }
    }

    /// Calls `work` with the matrix of rows of `row` values.
    pub(super) fn with<T>(&self, row: usize, work: impl FnOnce(CudaMat<'_>) -> Candle<T>) -> Candle<T> {
        self.with_from(0, row, work)
    }

    /// As [`Factor::with`], from value `at` on.
    pub(super) fn with_from<T>(&self, at: usize, row: usize, work: impl FnOnce(CudaMat<'_>) -> Candle<T>) -> Candle<T> {
        match self {
            Self::Tensor(x) => {
                let values = held(x)?;
                work(CudaMat::f32(&values.view::<f32>()?.slice(at..), row))
            }
            Self::F32(values) => work(CudaMat::f32(&values.slice(at..), row)),
            Self::Bf16(values) => work(CudaMat::bf16(&values.slice(at..), row)),
        }
    }
}

fn rounded(device: &CudaDevice, values: &CudaView<'_, f32>) -> Candle<CudaSlice<bf16>> {
    let n = values.len();
    let (mut out, count) = (alloc::<bf16>(device, n)?, n as u64);
    if n > 0 {
        launch!(device, SOURCE, "cast_bf16", elements(n.div_ceil(8)), values, &mut out, &count);
    }
    Ok(out)
}
