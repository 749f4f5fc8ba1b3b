//! The transformer core: an embedding, a stack of blocks, a head. It knows no names; families give them.

mod attention;
mod build;
mod decode;
mod decode_cpu;
#[cfg(feature = "cuda")]
mod decode_cuda;
mod fused;
mod linear;
mod map;
mod mlp;
mod norm;
mod recompute;
mod stack;
mod visit;
mod weight;

use candle_core::Tensor;

pub(crate) use self::attention::{Attention, Projections};
pub(crate) use self::build::{LinearSpec, Names, Source};
pub(crate) use self::linear::{Linear, Lora, Matrix};
pub(crate) use self::map::MapWeights;
pub(crate) use self::mlp::Mlp;
pub(crate) use self::norm::Norm;
pub(crate) use self::stack::{Block, Stack};
pub(crate) use self::visit::Part;
pub(crate) use self::weight::Weight;
use crate::error::Result;
use crate::nn::kv_cache::Cache;
use crate::nn::{ArchSpec, ForwardCtx, ops};

/// A decoder: ids in, logits out. Clones share the weights.
#[derive(Debug, Clone)]
pub(crate) struct Transformer {
    /// What it is made of.
    pub(crate) spec: ArchSpec,
    /// (vocabulary, hidden)
    pub(crate) embedding: Weight,
    pub(crate) decoder: Stack,
    pub(crate) head: Head,
}

/// What turns the last hidden state into logits.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // a model has one
pub(crate) enum Head {
    /// The embedding again (Press & Wolf 2017).
    Tied,
    /// A linear layer of its own.
    Untied(Linear),
}

impl Transformer {
    /// Logits of tokens (batch, time) -> (batch, time, vocabulary).
    pub(crate) fn forward(&self, tokens: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        let x = self.through(tokens, self.decoder.blocks.len(), ctx)?;
        self.logits(&x, ctx)
    }

    /// What the head reads: tokens (batch, time) -> (batch, time, hidden).
    pub(crate) fn hidden(&self, tokens: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        self.decoder.norm.forward(&self.through(tokens, self.decoder.blocks.len(), ctx)?, ctx)
    }

    /// Takes new ids (batch, new) into the cache; logits of the last: (batch, vocabulary).
    pub(crate) fn step(&self, tokens: &Tensor, cache: &mut Cache, ctx: &ForwardCtx) -> Result<Tensor> {
        if let Some(logits) = decode::fused(self, tokens, cache, ctx)? {
            return Ok(logits);
        }
        // On a thread of the pool, so that ops do not hand each piece of work over from outside.
        rayon::scope(|_| self.step_together(tokens, cache, ctx))
    }

    /// All new ids at once, op by op.
    fn step_together(&self, tokens: &Tensor, cache: &mut Cache, ctx: &ForwardCtx) -> Result<Tensor> {
        let (offset, new) = (cache.len(), tokens.dim(1)?);
        let mut x = self.embed(tokens, offset, ctx)?; // (batch, new, hidden)
        let blocks = &self.decoder.blocks;
        for (block, layer) in blocks.iter().zip(cache.layers(blocks.len(), ctx.precision)?) {
            x = block.forward(&x, offset, Some(layer), ctx)?;
        }
        cache.advance(new);
        let last = x.narrow(1, new - 1, 1)?.squeeze(1)?.contiguous()?; // (batch, hidden)
        self.logits(&last, ctx)
    }

    /// Attention weights of block `layer`: (batch, heads, time, time).
    pub(crate) fn attention(&self, tokens: &Tensor, layer: usize, ctx: &ForwardCtx) -> Result<Tensor> {
        self.decoder.blocks[layer].probabilities(&self.through(tokens, layer, ctx)?, ctx)
    }

    /// Ids (batch, time) at positions from `offset` on -> (batch, time, hidden).
    fn embed(&self, tokens: &Tensor, offset: usize, ctx: &ForwardCtx) -> Result<Tensor> {
        let x = ops::embedding(tokens, &self.embedding.tensor(ctx.grad), &ctx.interrupt)?;
        self.decoder.add_positions(x, offset, ctx)
    }

    /// The residual stream after the first `blocks` blocks: (batch, time, hidden).
    fn through(&self, tokens: &Tensor, blocks: usize, ctx: &ForwardCtx) -> Result<Tensor> {
        let mut x = self.embed(tokens, 0, ctx)?;
        for block in &self.decoder.blocks[..blocks] {
            x = block.forward(&x, 0, None, ctx)?;
        }
        Ok(x)
    }

    /// x (…, hidden) -> (…, vocabulary)
    fn logits(&self, x: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        let x = self.decoder.norm.forward(x, ctx)?;
        match &self.head {
            Head::Tied => ops::linear(&x, &self.embedding.tensor(ctx.grad), None, ctx.precision, &ctx.interrupt),
            Head::Untied(linear) => linear.forward(&x, ctx),
        }
    }
}
