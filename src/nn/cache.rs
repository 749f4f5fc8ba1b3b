//! Keys and values of what has been said, so that each new token costs one position.

use candle_core::Tensor;

use crate::error::{Error, Result};

/// Positions added when the memory is full.
const CHUNK: usize = 256;

/// The key–value cache of one batch; see [`Model::step`](crate::nn::Model::step). A clone goes on by itself.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    layers: Vec<LayerCache>,
    len: usize,
}

impl Cache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// Positions held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nothing has been said.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The memory of each of `count` layers, and the number of positions that all of them hold.
    pub(crate) fn layers(&mut self, count: usize) -> Result<&mut [LayerCache]> {
        if self.layers.is_empty() {
            self.layers = vec![LayerCache::default(); count];
        }
        if self.layers.len() != count {
            return Err(foreign());
        }
        let len = self.len;
        self.layers.iter_mut().for_each(|layer| layer.len = len);
        Ok(&mut self.layers)
    }

    /// Counts `new` positions that every layer has taken. A pass that stopped half way does not come here, and what
    /// some layers took is overwritten by the next.
    pub(crate) fn advance(&mut self, new: usize) {
        self.len += new;
    }
}

/// Keys and values of one layer, each (batch, capacity, kv_heads, dim).
#[derive(Debug, Default)]
pub(crate) struct LayerCache {
    memory: Option<(Tensor, Tensor)>,
    len: usize,
}

impl LayerCache {
    /// Puts keys and values (batch, new, kv_heads, dim) behind what is there.
    pub(crate) fn append(&mut self, keys: &Tensor, values: &Tensor) -> Result<Held> {
        let (batch, new, heads, dim) = keys.dims4()?;
        let end = self.len + new;
        let (k, v) = match self.memory.take() {
            Some((k, _)) if k.dim(0)? != batch || k.dim(2)? != heads || k.dim(3)? != dim => return Err(foreign()),
            Some((k, v)) if end <= k.dim(1)? => (k, v),
            full => {
                let capacity = end.next_multiple_of(CHUNK);
                let (k, v) = (room(keys, capacity)?, room(values, capacity)?);
                if let (Some((old_k, old_v)), true) = (full, self.len > 0) {
                    k.slice_set(&old_k.narrow(1, 0, self.len)?.contiguous()?, 1, 0)?;
                    v.slice_set(&old_v.narrow(1, 0, self.len)?.contiguous()?, 1, 0)?;
                }
                (k, v)
            }
        };
        k.slice_set(&keys.detach().contiguous()?, 1, self.len)?;
        v.slice_set(&values.detach().contiguous()?, 1, self.len)?;
        let held = Held { keys: k.clone(), values: v.clone(), len: end };
        self.memory = Some((k, v));
        Ok(held)
    }
}

/// What a layer holds: keys and values (batch, capacity, kv_heads, dim), of which the first `len` count.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) keys: Tensor,
    pub(crate) values: Tensor,
    pub(crate) len: usize,
}

impl Held {
    /// Those that count: (batch, len, kv_heads, dim).
    pub(crate) fn narrowed(&self) -> Result<(Tensor, Tensor)> {
        Ok((self.keys.narrow(1, 0, self.len)?, self.values.narrow(1, 0, self.len)?))
    }
}

impl Clone for LayerCache {
    /// Copies the memory, which both would write to otherwise.
    fn clone(&self) -> Self {
        let memory = self.memory.as_ref().and_then(|(k, v)| Some((k.copy().ok()?, v.copy().ok()?)));
        Self { memory, len: self.len }
    }
}

/// Memory for `capacity` positions of tensors like `x` (batch, new, kv_heads, dim).
fn room(x: &Tensor, capacity: usize) -> Result<Tensor> {
    let (batch, _, heads, dim) = x.dims4()?;
    Ok(Tensor::zeros((batch, capacity, heads, dim), x.dtype(), x.device())?)
}

fn foreign() -> Error {
    Error::mistake("the cache belongs to another model or another number of rows").with_hint("begin with Cache::new()")
}
