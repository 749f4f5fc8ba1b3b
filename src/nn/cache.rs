//! Keys and values of what has been said, so that each new token costs one position.

use candle_core::Tensor;

/// The key–value cache of one batch; see [`Model::step`](crate::nn::Model::step).
#[derive(Debug, Clone, Default)]
pub struct Cache {
    layers: Vec<Option<(Tensor, Tensor)>>,
    len: usize,
}

impl Cache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// Positions held.
    pub fn len(&self) -> usize {
        let _ = &self.layers;
        self.len
    }

    /// True when nothing has been said.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
