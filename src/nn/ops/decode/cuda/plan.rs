//! The arguments of a decoding step on a GPU: addresses and sizes. Two plans are equal when they read the same memory
//! in the same way, so that the graph of one is valid for the other.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaStream, DeviceRepr};
use candle_core::{Result as Candle, Tensor};

use crate::nn::cuda::{gpu, held};
use crate::nn::ops::rope::Rotary;
use crate::nn::quant::Nf4;

/// `CudaMatrix` of `product.cuh`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C)]
pub(super) struct CudaMatrix {
    codes: u64,
    absmax: u64,
    nested: u64,
    map: u64,
    pub(super) dense: u64,
    b: u64,
    offset: f32,
    scale: f32,
    pub(super) out: i32,
    pub(super) wide: i32,
    rank: i32,
    /// Set when it is launched together with others.
    pub(super) low: i32,
}

// SAFETY: plain numbers, laid out as C has them.
unsafe impl DeviceRepr for CudaMatrix {}

impl CudaMatrix {
    /// Whether it is in 4 bits.
    pub(super) fn is_packed(&self) -> bool {
        self.codes != 0
    }
}

/// A linear layer on a GPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::nn) struct CudaLinear {
    pub(super) w: CudaMatrix,
    /// A of its adapter, scaled.
    pub(super) a: Option<CudaMatrix>,
}

impl CudaLinear {
    /// A dense weight (out, in); `None` when the kernels cannot read it.
    pub(in crate::nn) fn dense(weight: &Tensor, cuda: &Cuda) -> Option<Self> {
        let (out, wide) = weight.dims2().ok()?;
        let dense = cuda.address(weight)?;
        Some(Self::new(CudaMatrix { dense, scale: 1.0, ..CudaMatrix::default() }, (out, wide)))
    }

    /// A 4-bit weight, `shape` (out, in); its copy is made if there is none.
    ///
    /// # Errors
    /// When the memory is full.
    pub(in crate::nn) fn nf4(weight: &Nf4, shape: (usize, usize), cuda: &Cuda) -> Candle<Self> {
        let there = weight.on(&cuda.device)?;
        let ([codes, absmax, nested, map], offset) = there.addresses(&cuda.stream);
        Ok(Self::new(CudaMatrix { codes, absmax, nested, map, offset, scale: 1.0, ..CudaMatrix::default() }, shape))
    }

    fn new(w: CudaMatrix, (out, wide): (usize, usize)) -> Self {
        Self { w: CudaMatrix { out: out as i32, wide: wide as i32, ..w }, a: None }
    }

    /// The same layer with the update `scale · x Aᵀ Bᵀ`: a (r, in), b (out, r).
    pub(in crate::nn) fn with_update(self, a: &Tensor, b: &Tensor, scale: f32, cuda: &Cuda) -> Option<Self> {
        let mut low = Self::dense(a, cuda)?.w;
        low.scale = scale;
        Some(Self { w: CudaMatrix { b: cuda.address(b)?, rank: low.out, ..self.w }, a: Some(low) })
    }
}

/// An RMSNorm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::nn) struct CudaNorm {
    pub(super) weight: u64,
    pub(super) eps: f32,
}

impl CudaNorm {
    /// A norm with a weight that the kernels can read.
    pub(in crate::nn) fn new(weight: &Tensor, eps: f64, cuda: &Cuda) -> Option<Self> {
        Some(Self { weight: cuda.address(weight)?, eps: eps as f32 })
    }
}

/// One layer of a decoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::nn) struct CudaBlock {
    pub(in crate::nn) attention_norm: CudaNorm,
    pub(in crate::nn) q: CudaLinear,
    pub(in crate::nn) k: CudaLinear,
    pub(in crate::nn) v: CudaLinear,
    pub(in crate::nn) o: CudaLinear,
    pub(in crate::nn) feed_forward_norm: CudaNorm,
    pub(in crate::nn) gate: CudaLinear,
    pub(in crate::nn) up: CudaLinear,
    pub(in crate::nn) down: CudaLinear,
}

/// The heads of all layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::nn) struct Heads {
    pub(in crate::nn) heads: usize,
    pub(in crate::nn) kv_heads: usize,
    pub(in crate::nn) head_dim: usize,
    pub(in crate::nn) rotary: Rotary,
}

/// A decoder for a number of rows.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::nn) struct CudaPlan {
    pub(in crate::nn) rows: usize,
    /// (vocabulary, hidden)
    pub(in crate::nn) embedding: CudaLinear,
    pub(in crate::nn) blocks: Vec<CudaBlock>,
    pub(in crate::nn) heads: Heads,
    pub(in crate::nn) norm: CudaNorm,
    pub(in crate::nn) head: CudaLinear,
}

impl CudaPlan {
    /// The most rows that the kernels take.
    pub(in crate::nn) const ROWS: usize = 8;
    /// The widest heads, `WIDEST` of `attend.cuh`.
    const WIDEST: usize = 128;

    /// Whether the kernels support it.
    pub(in crate::nn) fn fits(&self) -> bool {
        let Heads { heads, kv_heads, head_dim, .. } = self.heads;
        let heads_fit = kv_heads > 0
            && heads.is_multiple_of(kv_heads)
            && (2..=Self::WIDEST).contains(&head_dim)
            && head_dim.is_multiple_of(2);
        let hidden = self.embedding.w.wide;
        let (asked, kept) = ((heads * head_dim) as i32, (kv_heads * head_dim) as i32);
        let is = |layer: &CudaLinear, out: i32, wide: i32| layer.w.out == out && layer.w.wide == wide;
        let fits = |block: &CudaBlock| {
            is(&block.q, asked, hidden)
                && is(&block.k, kept, hidden)
                && is(&block.v, kept, hidden)
                && is(&block.o, hidden, asked)
                && is(&block.up, block.gate.w.out, hidden)
                && is(&block.gate, block.gate.w.out, hidden)
                && is(&block.down, hidden, block.gate.w.out)
                && block.gate.w.is_packed() == block.up.w.is_packed()
        };
        let head = is(&self.head, self.embedding.w.out, hidden);
        (1..=Self::ROWS).contains(&self.rows) && hidden > 0 && heads_fit && head && self.blocks.iter().all(fits)
    }
}

/// The device of all tensors.
pub(in crate::nn) struct Cuda {
    pub(super) device: CudaDevice,
    pub(super) stream: std::sync::Arc<CudaStream>,
}

impl Cuda {
    /// The device of a tensor.
    ///
    /// # Errors
    /// A tensor on the CPU.
    pub(in crate::nn) fn of(x: &Tensor) -> Candle<Self> {
        let device = gpu(x)?.clone();
        let stream = device.cuda_stream();
        Ok(Self { device, stream })
    }

    /// The address of a contiguous f32 tensor, if it is aligned to 16 bytes.
    pub(in crate::nn) fn address(&self, x: &Tensor) -> Option<u64> {
        let there = gpu(x).ok().is_some_and(|device| device.id() == self.device.id());
        let held = held(x).ok().filter(|_| there)?;
        // No guard is needed: the device has one stream.
        let (address, _) = held.view::<f32>().ok()?.view_ptr(&self.stream);
        (address % 16 == 0).then_some(address)
    }

    /// [`Cuda::address`] for memory that was made for the kernels.
    ///
    /// # Errors
    /// Another device, type or layout.
    pub(in crate::nn) fn required(&self, x: &Tensor) -> Candle<u64> {
        self.address(x).ok_or_else(|| candle_core::Error::msg("a step on the GPU needs its cache there, in f32"))
    }
}
