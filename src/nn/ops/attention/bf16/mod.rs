//! Attention with bfloat16 products on the tensor cores of a GPU.

use candle_core::Result as Candle;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, CudaViewMut, LaunchConfig};
use half::bf16;

use super::cpu::Sizes;
use super::cuda_inputs::Axes;
use crate::nn::cuda::{KernelSource, alloc, blocks, elements, launch, source};

static SOURCE: KernelSource = source!("attention_bf16", "../../../cuda", "../tiles.cuh");

/// Rows of a block: `HALF_ROWS` in `kernel.cu`.
const ROWS: usize = 64;
/// Threads of a block: `HALF_THREADS` there.
const THREADS: u32 = 128;

/// The kernels for heads of up to some width.
pub(super) struct Bf16Kernels {
    /// The width of a head after rounding to bf16, padded.
    pub(super) wide: usize,
    pub(super) forward: &'static str,
    pub(super) query_gradient: &'static str,
    pub(super) key_gradient: &'static str,
}

/// Queries, keys and values on the device.
pub(super) struct Bf16Inputs<'a> {
    pub(super) device: &'a CudaDevice,
    pub(super) sizes: &'a Sizes,
    pub(super) axes: &'a Axes,
    pub(super) kernels: &'a Bf16Kernels,
    pub(super) values: [&'a CudaView<'a, f32>; 3],
}

impl Bf16Inputs<'_> {
    /// Writes outputs and log-sum-exps.
    pub(super) fn forward(&self, out: &mut CudaSlice<f32>, sums: &mut CudaSlice<f32>) -> Candle<()> {
        let [q, k, v] = self.rounded()?;
        launch!(self.device, SOURCE, self.kernels.forward, self.query_blocks(), &q, &k, &v, out, sums, self.axes);
        Ok(())
    }

    /// Writes the gradients of queries, keys and values, from that of the output.
    pub(super) fn backward(
        &self,
        dy: &CudaView<'_, f32>,
        (sums, delta): (&CudaSlice<f32>, &CudaSlice<f32>),
        dq: &mut CudaViewMut<'_, f32>,
        (dk, dv): (&mut CudaSlice<f32>, &mut CudaSlice<f32>),
    ) -> Candle<()> {
        let Self { device, sizes: s, axes, kernels, .. } = self;
        let [q, k, v] = self.rounded()?;
        let dy = self.round(dy, (s.time, s.heads), self.query_batch())?;
        let name = kernels.query_gradient;
        launch!(device, SOURCE, name, self.query_blocks(), &q, &k, &v, &dy, sums, delta, dq, *axes);
        let config = threads(s.batch * s.kv_heads * s.keys.div_ceil(ROWS));
        launch!(device, SOURCE, kernels.key_gradient, config, &q, &k, &v, &dy, sums, delta, dk, dv, *axes);
        Ok(())
    }

    fn query_blocks(&self) -> LaunchConfig {
        threads(self.sizes.batch * self.sizes.heads * self.sizes.time.div_ceil(ROWS))
    }

    fn rounded(&self) -> Candle<[CudaSlice<bf16>; 3]> {
        let ([q, k, v], Axes { k_batch, v_batch, .. }, s) = (self.values, *self.axes, self.sizes);
        let (queries, keys) = ((s.time, s.heads), (s.keys, s.kv_heads));
        Ok([self.round(q, queries, self.query_batch())?, self.round(k, keys, k_batch)?, self.round(v, keys, v_batch)?])
    }

    /// The distance between rows of the batch, of queries and tensors of their shape.
    fn query_batch(&self) -> u64 {
        (self.sizes.time * self.sizes.heads * self.sizes.dim) as u64
    }

    /// (batch, rows, heads, dim) -> (batch, rows, heads, wide)
    fn round(&self, x: &CudaView<'_, f32>, (rows, heads): (usize, usize), batch: u64) -> Candle<CudaSlice<bf16>> {
        let (wide, all) = (self.kernels.wide, self.sizes.batch * rows * heads);
        let mut out = alloc::<bf16>(self.device, all * wide)?;
        let config = elements(all * wide / 8);
        let (heads, all, dim, wide) = ((rows * heads) as u64, all as u64, self.sizes.dim as i32, wide as i32);
        launch!(self.device, SOURCE, "bf16_round", config, x, &mut out, &heads, &all, &batch, &dim, &wide);
        Ok(out)
    }
}

fn threads(count: usize) -> LaunchConfig {
    LaunchConfig { block_dim: (THREADS, 1, 1), ..blocks(count, 1) }
}
