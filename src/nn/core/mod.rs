//! The transformer core: an embedding, a stack of blocks, a head. Families give the names of its weights.

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
mod places;
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
pub(crate) use self::places::Places;
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
    pub(crate) fn forward(&self, tokens: &Tensor, places: Places<'_>, ctx: &ForwardCtx) -> Result<Tensor> {
        let x = self.through(tokens, places, self.decoder.blocks.len(), ctx)?;
        self.logits(&x, ctx)
    }

    /// What the head reads: tokens (batch, time) -> (batch, time, hidden).
    pub(crate) fn hidden(&self, tokens: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        let x = self.through(tokens, Places::default(), self.decoder.blocks.len(), ctx)?;
        self.decoder.norm.forward(&x, ctx)
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
        let (places, new) = (Places::from(cache.len()), tokens.dim(1)?);
        let mut x = self.embed(tokens, places, ctx)?; // (batch, new, hidden)
        let blocks = &self.decoder.blocks;
        for (block, layer) in blocks.iter().zip(cache.layers(blocks.len(), ctx.precision)?) {
            x = block.forward(&x, places, Some(layer), ctx)?;
        }
        cache.advance(new);
        let last = x.narrow(1, new - 1, 1)?.squeeze(1)?.contiguous()?; // (batch, hidden)
        self.logits(&last, ctx)
    }

    /// Attention weights of block `layer`: (batch, heads, time, time).
    pub(crate) fn attention(
        &self,
        tokens: &Tensor,
        places: Places<'_>,
        layer: usize,
        ctx: &ForwardCtx,
    ) -> Result<Tensor> {
        let x = self.through(tokens, places, layer, ctx)?;
        self.decoder.blocks[layer].probabilities(&x, places, ctx)
    }

    /// Ids (batch, time) -> (batch, time, hidden), with what tells their positions apart.
    fn embed(&self, tokens: &Tensor, places: Places<'_>, ctx: &ForwardCtx) -> Result<Tensor> {
        let x = ops::embedding(tokens, &self.embedding.tensor(ctx.grad), &ctx.interrupt)?;
        self.decoder.add_positions(x, places, ctx)
    }

    /// The residual stream after the first `blocks` blocks: (batch, time, hidden).
    fn through(&self, tokens: &Tensor, places: Places<'_>, blocks: usize, ctx: &ForwardCtx) -> Result<Tensor> {
        let mut x = self.embed(tokens, places, ctx)?;
        for block in &self.decoder.blocks[..blocks] {
            x = block.forward(&x, places, None, ctx)?;
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
