//! Rows of an embedding that train beside an adapter (PEFT's `trainable_token_indices`), for new style tokens.

use candle_core::Tensor;

use super::Weight;
use crate::error::Result;
use crate::nn::ForwardCtx;
use crate::nn::ops;

/// Rows in the place of those of an embedding.
#[derive(Debug, Clone)]
pub(crate) struct TokenRows {
    /// Their ids, each once.
    pub(crate) ids: Vec<u32>,
    /// (ids, hidden)
    pub(crate) rows: Weight,
}

impl TokenRows {
    /// The embedding with these rows: (vocabulary, hidden).
    pub(super) fn put_into(&self, embedding: &Weight, ctx: &ForwardCtx) -> Result<Tensor> {
        ops::replace_rows(&embedding.detached(), &self.rows.tensor(ctx.grad), &self.ids, &ctx.interrupt)
    }
}
