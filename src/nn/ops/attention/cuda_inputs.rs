//! What attention reads on a GPU besides queries, keys and values: sizes, padding, packing, biases and vectors by distance.

use std::ops::Range;

use candle_core::Tensor;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DevicePtr, DeviceRepr};

use super::AttentionOptions;
use super::cpu::Sizes;
use crate::error::{Error, Result};
use crate::nn::Precision;
use crate::nn::autograd;
use crate::nn::cuda::upload;
use crate::nn::ops::input::input;

/// Warps of a block.
pub(super) const WARPS: usize = 8;

/// Padding, packing, biases and relative vectors.
pub(super) struct Extra {
    /// The keys of each row of the batch that are not padding, from and to.
    visible: Option<CudaSlice<i32>>,
    /// The first key of the sequence of each query, (batch, time), where rows are packed.
    starts: Option<CudaSlice<i32>>,
    pub(super) bias: Option<Tensor>,
    pub(super) vectors: Option<Tensor>,
    /// Whether products are in bfloat16.
    pub(super) half: bool,
}

impl Extra {
    pub(super) fn new(
        device: &CudaDevice,
        visible: Option<&[Range<usize>]>,
        options: &AttentionOptions<'_>,
    ) -> Result<Self> {
        let visible: Option<Vec<i32>> =
            visible.map(|rows| rows.iter().flat_map(|row| [row.start as i32, row.end as i32]).collect());
        let starts: Option<Vec<i32>> =
            options.sequences.map(|packed| packed.starts().iter().map(|&start| start as i32).collect());
        let contiguous = |x: &Tensor| Ok::<_, Error>(autograd::apply_contiguous(&input(x, "attention")?)?);
        Ok(Self {
            visible: visible.filter(|rows| !rows.is_empty()).map(|rows| upload(device, &rows)).transpose()?,
            starts: starts.filter(|starts| !starts.is_empty()).map(|starts| upload(device, &starts)).transpose()?,
            bias: options.bias.map(contiguous).transpose()?,
            vectors: options.relative.map(contiguous).transpose()?,
            half: options.precision != Precision::F32 && options.relative.is_none(),
        })
    }

    /// Number of values of the bias.
    pub(super) fn biases(&self) -> usize {
        self.bias.as_ref().map_or(0, Tensor::elem_count)
    }

    /// The number of heads with vectors of their own; 0 without vectors.
    pub(super) fn own(&self) -> usize {
        self.vectors.as_ref().map_or(0, |vectors| vectors.dims()[1])
    }
}

/// `Sizes` of `tiles.cuh`, including device addresses.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Axes {
    batch: i32,
    time: i32,
    keys: i32,
    heads: i32,
    kv_heads: i32,
    dim: i32,
    causal: i32,
    scale: f32,
    pub(super) k_batch: u64,
    pub(super) v_batch: u64,
    visible: u64,
    bias: u64,
    vectors: u64,
    starts: u64,
    own: i32,
}

// SAFETY: plain numbers, laid out as C has them.
unsafe impl DeviceRepr for Axes {}

impl Axes {
    /// `all` holds queries, biases and vectors.
    pub(super) fn new(
        device: &CudaDevice,
        s: &Sizes,
        [k, v]: [&Tensor; 2],
        all: &CudaView<'_, f32>,
        extra: &Extra,
    ) -> Self {
        let (int, stream) = (|n: usize| n as i32, device.cuda_stream());
        // No guards are needed: the memory belongs to arguments of the op, and the device has one stream.
        let address = |at: usize| all.slice(at..).device_ptr(&stream).0;
        let queries = s.batch * s.time * s.heads * s.dim;
        Self {
            batch: int(s.batch),
            time: int(s.time),
            keys: int(s.keys),
            heads: int(s.heads),
            kv_heads: int(s.kv_heads),
            dim: int(s.dim),
            causal: i32::from(s.causal),
            scale: s.scale,
            k_batch: k.stride()[0] as u64,
            v_batch: v.stride()[0] as u64,
            visible: extra.visible.as_ref().map_or(0, |rows| rows.device_ptr(&stream).0),
            bias: if extra.bias.is_some() { address(queries) } else { 0 },
            vectors: if extra.vectors.is_some() { address(queries + extra.biases()) } else { 0 },
            starts: extra.starts.as_ref().map_or(0, |starts| starts.device_ptr(&stream).0),
            own: int(extra.own()),
        }
    }
}
