//! Key–value cache for incremental decoding: a new token is computed with the stored keys and values of earlier
//! positions.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Result};
use crate::nn::Precision;
use crate::nn::cpu::floats;
#[cfg(feature = "cuda")]
use crate::nn::ops::decode::cuda::CudaDecoder;
use crate::nn::ops::{ComposedUpdate, KvBuffer, KvFormat, Prepacked};

/// Positions added when the memory is full.
const CHUNK: usize = 256;

/// The number format of keys and values on the CPU; on a GPU they are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheDtype {
    /// That of the products: f32 or bf16.
    #[default]
    Auto,
    /// A byte a number, and a scale for each key and each value of a head: a quarter of the memory of f32.
    Int8,
}

/// What the blocks of a decoder attend to of a source: keys and values of each block, made once.
#[derive(Debug)]
pub(crate) struct EncoderCache {
    /// Keys and values of each block: (batch, source, kv_heads, dim).
    pub(in crate::nn) keys_values: Vec<(Tensor, Tensor)>,
    /// The places of each row that are not padding.
    pub(in crate::nn) visible: Vec<Range<usize>>,
}

impl EncoderCache {
    fn bytes(&self) -> usize {
        self.keys_values.iter().map(|(k, v)| 4 * (k.elem_count() + v.elem_count())).sum()
    }
}

/// The key–value cache of one batch; see [`Model::step`](crate::nn::Model::step). Clones are independent.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    layers: Vec<LayerCache>,
    len: usize,
    dtype: CacheDtype,
    /// What was made of the source, for models with an encoder; clones share it.
    encoder: Option<Arc<EncoderCache>>,
    /// The 4-bit weights of the model, prepacked for products of one position; owned by the cache, so that training
    /// does not hold them in memory as well.
    prepacked: Option<Arc<[Option<Prepacked>]>>,
    /// The updates of adapters with magnitudes, composed once; a cache is for one state of a model.
    composed: Option<Arc<[Option<ComposedUpdate>]>>,
    /// The state of a GPU between positions.
    #[cfg(feature = "cuda")]
    decoding: Own,
}

/// Buffers on a GPU and recorded graphs; a clone makes its own.
#[cfg(feature = "cuda")]
#[derive(Default)]
struct Own(Option<Box<CudaDecoder>>);

#[cfg(feature = "cuda")]
impl Clone for Own {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(feature = "cuda")]
impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Own")
    }
}

impl Cache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty cache of numbers in this format.
    pub fn of(dtype: CacheDtype) -> Self {
        Self { dtype, ..Self::default() }
    }

    /// Positions stored.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when it holds no position.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes used.
    pub fn bytes(&self) -> usize {
        let encoder = self.encoder.as_ref().map_or(0, |encoder| encoder.bytes());
        encoder + self.layers.iter().map(LayerCache::bytes).sum::<usize>()
    }

    /// Whether a source was read; see [`Model::read_source`](crate::nn::Model::read_source).
    pub fn has_source(&self) -> bool {
        self.encoder.is_some()
    }

    /// What was made of the source.
    pub(in crate::nn) fn encoder(&self) -> Option<Arc<EncoderCache>> {
        self.encoder.clone()
    }

    /// Puts another source in the place of the one before, and forgets what was decoded over that.
    pub(in crate::nn) fn set_encoder(&mut self, encoder: EncoderCache) {
        self.encoder = Some(Arc::new(encoder));
        self.len = 0;
    }

    /// The cache of each of `count` layers, and the number of positions stored in all of them.
    pub(crate) fn layers(&mut self, count: usize, precision: Precision) -> Result<&mut [LayerCache]> {
        if self.layers.is_empty() {
            let format = match (self.dtype, precision.on_this_cpu()) {
                (CacheDtype::Int8, _) => KvFormat::Int8,
                (CacheDtype::Auto, Precision::Bf16 | Precision::F16) => KvFormat::Bf16,
                (CacheDtype::Auto, Precision::F32) => KvFormat::F32,
            };
            self.layers = vec![LayerCache { memory: Memory::None, len: 0, format }; count];
        }
        if self.layers.len() != count {
            return Err(foreign());
        }
        let len = self.len;
        self.layers.iter_mut().for_each(|layer| layer.len = len);
        Ok(&mut self.layers)
    }

    /// The prepacked weights; `lay_out` makes them at first use.
    pub(in crate::nn) fn prepacked(
        &mut self,
        lay_out: impl FnOnce() -> Vec<Option<Prepacked>>,
    ) -> Arc<[Option<Prepacked>]> {
        self.prepacked.get_or_insert_with(|| lay_out().into()).clone()
    }

    /// The composed updates; `compose` makes them at first use.
    pub(in crate::nn) fn composed(
        &mut self,
        compose: impl FnOnce() -> Result<Vec<Option<ComposedUpdate>>>,
    ) -> Result<Arc<[Option<ComposedUpdate>]>> {
        if self.composed.is_none() {
            self.composed = Some(compose()?.into());
        }
        Ok(self.composed.clone().unwrap_or_default())
    }

    /// The state of a GPU between positions; the caller takes it and puts it back.
    #[cfg(feature = "cuda")]
    pub(in crate::nn) fn decoding(&mut self) -> &mut Option<Box<CudaDecoder>> {
        &mut self.decoding.0
    }

    /// Advances by `new` positions that every layer has stored. A pass that was cancelled does not get here, and the
    /// positions of some of its layers are overwritten by the next.
    pub(crate) fn advance(&mut self, new: usize) {
        self.len += new;
    }

    /// Truncates to the first `len` positions.
    pub(crate) fn forget(&mut self, len: usize) {
        self.len = len;
    }
}

/// Keys and values of one layer.
#[derive(Debug, Clone)]
pub(crate) struct LayerCache {
    memory: Memory,
    len: usize,
    format: KvFormat,
}

#[derive(Debug)]
enum Memory {
    None,
    /// On the CPU.
    Cpu {
        keys: KvBuffer,
        values: KvBuffer,
    },
    /// On a GPU: keys and values, each (batch, capacity, kv_heads, dim).
    Cuda(Tensor, Tensor),
}

impl LayerCache {
    /// Appends keys and values (batch, new, kv_heads, dim) and gives all of them, (batch, len, kv_heads, dim).
    pub(crate) fn append(&mut self, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        if !keys.device().is_cpu() {
            return self.append_cuda(keys, values);
        }
        let (batch, new, heads, dim) = keys.dims4()?;
        let at = self.len;
        let (k, v) = (keys.contiguous()?, values.contiguous()?);
        let (own_keys, own_values) = self.reserve_cpu(batch, heads, dim, at + new)?;
        own_keys.put(&floats(&k)?, at, new);
        own_values.put(&floats(&v)?, at, new);
        if at == 0 {
            return Ok((keys.clone(), values.clone()));
        }
        let all = |held: &KvBuffer| {
            let shape = (batch, at + new, heads, dim);
            Tensor::from_vec(held.all(at + new), shape, keys.device())
        };
        Ok((all(own_keys)?, all(own_values)?))
    }

    /// Reserves room for `end` positions on the CPU and gives the buffers of keys and values.
    pub(in crate::nn) fn reserve_cpu(
        &mut self,
        batch: usize,
        heads: usize,
        dim: usize,
        end: usize,
    ) -> Result<(&mut KvBuffer, &mut KvBuffer)> {
        if let Memory::None = self.memory {
            let fresh = || KvBuffer::new(self.format, batch, heads, dim);
            self.memory = Memory::Cpu { keys: fresh(), values: fresh() };
        }
        let Memory::Cpu { keys, values } = &mut self.memory else { return Err(foreign()) };
        if !keys.fits(batch, heads, dim) {
            return Err(foreign());
        }
        for held in [&mut *keys, &mut *values] {
            if end > held.capacity() {
                held.grow(end.next_multiple_of(CHUNK), self.len);
            }
        }
        Ok((keys, values))
    }

    fn append_cuda(&mut self, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        let (batch, new, heads, dim) = keys.dims4()?;
        let (at, end) = (self.len, self.len + new);
        let (k, v) = self.reserve_cuda(keys.device(), (batch, heads, dim), end)?;
        k.slice_set(&keys.detach().contiguous()?, 1, at)?;
        v.slice_set(&values.detach().contiguous()?, 1, at)?;
        Ok((k.narrow(1, 0, end)?, v.narrow(1, 0, end)?))
    }

    /// Reserves room for `end` positions on a GPU and gives keys and values, (batch, capacity, kv_heads, dim).
    pub(in crate::nn) fn reserve_cuda(
        &mut self,
        device: &Device,
        (batch, heads, dim): (usize, usize, usize),
        end: usize,
    ) -> Result<(&Tensor, &Tensor)> {
        if let Memory::Cuda(k, _) = &self.memory
            && (k.dim(0)?, k.dim(2)?, k.dim(3)?) != (batch, heads, dim)
        {
            return Err(foreign());
        }
        let full = match &self.memory {
            Memory::Cpu { .. } => return Err(foreign()),
            Memory::Cuda(k, _) => end > k.dim(1)?,
            Memory::None => true,
        };
        if full {
            let shape = (batch, end.next_multiple_of(CHUNK), heads, dim);
            let zeros = || Tensor::zeros(shape, DType::F32, device);
            let (k, v) = (zeros()?, zeros()?);
            if let (Memory::Cuda(old_k, old_v), true) = (&self.memory, self.len > 0) {
                k.slice_set(&old_k.narrow(1, 0, self.len)?.contiguous()?, 1, 0)?;
                v.slice_set(&old_v.narrow(1, 0, self.len)?.contiguous()?, 1, 0)?;
            }
            self.memory = Memory::Cuda(k, v);
        }
        let Memory::Cuda(k, v) = &self.memory else { return Err(foreign()) };
        Ok((k, v))
    }

    fn bytes(&self) -> usize {
        match &self.memory {
            Memory::None => 0,
            Memory::Cpu { keys, values } => keys.bytes() + values.bytes(),
            Memory::Cuda(k, v) => 4 * (k.elem_count() + v.elem_count()),
        }
    }
}

impl Clone for Memory {
    /// Copies tensors, which both clones would write to otherwise.
    fn clone(&self) -> Self {
        match self {
            Self::Cpu { keys, values } => Self::Cpu { keys: keys.clone(), values: values.clone() },
            Self::Cuda(k, v) => match (k.copy(), v.copy()) {
                (Ok(k), Ok(v)) => Self::Cuda(k, v),
                _ => Self::None,
            },
            Self::None => Self::None,
        }
    }
}

fn foreign() -> Error {
    Error::mistake("the cache belongs to another model or another number of rows").with_hint("begin with Cache::new()")
}
