//! The low-rank update on a GPU.

use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Result as Candle, Tensor};

use super::super::dropout::Dropout;
use super::factor::{Factor, SharedFactor};
use super::{SOURCE, rows};
use crate::nn::Precision;
use crate::nn::cuda::{CudaMat, CudaProduct, alloc, elements, gpu, launch, product, tensor};

/// An adapter of a weight of `shape` (out, in).
pub(super) struct CudaLowRank<'a> {
    /// A: (r, in)
    pub(super) a: &'a Tensor,
    /// B: (out, r)
    pub(super) b: &'a Tensor,
    pub(super) scale: f32,
    pub(super) dropout: Option<Dropout>,
    pub(super) shape: (usize, usize),
    pub(super) precision: Precision,
}

/// The gradients of x (if needed), A and B.
type LowRankGradients = (Option<CudaSlice<f32>>, Tensor, Tensor);

/// Intermediate results that backward reuses.
pub(super) struct SavedLowRank {
    /// `drop(x) Aᵀ`: (rows, r)
    u: Factor<'static>,
    /// A and B, rounded; `None` where they are used as they are.
    a: Option<Factor<'static>>,
    b: Option<Factor<'static>>,
}

impl CudaLowRank<'_> {
    /// `y += s · drop(x) Aᵀ Bᵀ`: x (…, in), y (…, out).
    pub(super) fn add_to(&self, x: &SharedFactor<'_>, y: &mut CudaSlice<f32>) -> Candle<SavedLowRank> {
        let (device, rows, (rank, wide), out) = (gpu(x.x)?, rows(x.x), self.a.dims2()?, self.shape.0);
        let mut u = alloc::<f32>(device, rows * rank)?;
        let a = Factor::of(self.a, self.precision)?;
        let p = CudaProduct::new(rows, rank, wide);
        self.with_dropped(x, wide, |x| a.with(wide, |a| product(device, p, x, a.t(), &mut u)))?;
        let (u, b) = (Factor::made(device, u, self.precision)?, Factor::of(self.b, self.precision)?);
        let p = CudaProduct { alpha: self.scale, beta: 1.0, ..CudaProduct::new(rows, out, rank) };
        u.with(rank, |u| b.with(rank, |b| product(device, p, u, b.t(), y)))?;
        Ok(SavedLowRank { u, a: a.kept(), b: b.kept() })
    }

    /// Calls `work` with `drop(x)`.
    fn with_dropped<T>(
        &self,
        x: &SharedFactor<'_>,
        wide: usize,
        work: impl FnOnce(CudaMat<'_>) -> Candle<T>,
    ) -> Candle<T> {
        match self.dropout {
            None => x.get()?.with(wide, work),
            Some(dropout) => Factor::dropped(x.x, dropout, self.precision)?.with(wide, work),
        }
    }

    /// dA (r, in) and dB (out, r) from the results of [`CudaLowRank::add_to`]; the adapter's part is added to `dx`.
    pub(super) fn gradients(
        &self,
        x: &SharedFactor<'_>,
        dy: &SharedFactor<'_>,
        kept: &SavedLowRank,
        mut dx: Option<CudaSlice<f32>>,
    ) -> Candle<LowRankGradients> {
        let (device, rows, (rank, wide), out) = (gpu(x.x)?, rows(x.x), self.a.dims2()?, self.shape.0);
        let dy = dy.get()?;
        let mut v = alloc::<f32>(device, rows * rank)?;
        let p = CudaProduct { alpha: self.scale, ..CudaProduct::new(rows, rank, out) };
        let own = Factor::Tensor(self.b);
        let b = kept.b.as_ref().unwrap_or(&own);
        dy.with(out, |dy| b.with(rank, |b| product(device, p, dy, b, &mut v)))?;
        let v = Factor::made(device, v, self.precision)?;
        let (mut da, mut db) = (alloc::<f32>(device, rank * wide)?, alloc::<f32>(device, out * rank)?);
        let p = CudaProduct::new(rank, wide, rows);
        v.with(rank, |v| self.with_dropped(x, wide, |x| product(device, p, v.t(), x, &mut da)))?;
        let p = CudaProduct { alpha: self.scale, ..CudaProduct::new(out, rank, rows) };
        dy.with(out, |dy| kept.u.with(rank, |u| product(device, p, dy.t(), u, &mut db)))?;
        if let Some(dx) = &mut dx {
            let own = Factor::Tensor(self.a);
            self.add_input_gradient(x.x, &v, kept.a.as_ref().unwrap_or(&own), dx)?;
        }
        Ok((dx, tensor(da, (rank, wide), device), tensor(db, (out, rank), device)))
    }

    /// `dx += drop(v A)`: v (rows, r)
    fn add_input_gradient(&self, x: &Tensor, v: &Factor<'_>, a: &Factor<'_>, dx: &mut CudaSlice<f32>) -> Candle<()> {
        let (device, rows, (rank, wide)) = (gpu(x)?, rows(x), self.a.dims2()?);
        let p = CudaProduct::new(rows, wide, rank);
        let Some(Dropout { below, keep, seed }) = self.dropout else {
            return v.with(rank, |v| a.with(wide, |a| product(device, CudaProduct { beta: 1.0, ..p }, v, a, dx)));
        };
        let n = rows * wide;
        let mut g = alloc::<f32>(device, n)?;
        v.with(rank, |v| a.with(wide, |a| product(device, p, v, a, &mut g)))?;
        let count = n as u64;
        if n > 0 {
            launch!(device, SOURCE, "dropout_add", elements(n), &g, dx, &count, &seed, &below, &keep);
        }
        Ok(())
    }
}
