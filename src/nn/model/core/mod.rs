//! The transformer core: embedding, blocks, final norm, head. It knows no names; families give them.

mod decode;
#[cfg(feature = "cuda")]
mod decode_there;
mod linear;
mod parts;
mod recompute;
mod run;
mod weight;

use candle_core::Tensor;

use crate::error::Result;
use crate::nn::Cache;
use crate::nn::ops;

pub(crate) use linear::{Linear, Lora, Matrix};
pub(crate) use parts::{Attention, Block, FeedForward, Norm};
pub(crate) use run::Run;
pub(crate) use weight::Weight;

/// A decoder: ids in, logits out. Clones share the weights.
#[derive(Debug, Clone)]
pub(crate) struct Transformer {
    pub(crate) embedding: Weight,
    pub(crate) blocks: Vec<Block>,
    pub(crate) norm: Norm,
    pub(crate) head: Head,
}

/// What turns the last hidden state into logits.
#[derive(Debug, Clone)]
pub(crate) enum Head {
    /// The embedding again (Press & Wolf 2017).
    Tied,
    /// A linear layer of its own.
    Free(Linear),
}

/// A part of the model that holds weights.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// (vocabulary, hidden)
    Embedding(&'a Weight),
    /// (hidden)
    Norm(&'a Weight),
    /// (out, in)
    Linear(&'a Linear),
}

/// A way to make another model of this one, part by part.
pub(crate) trait Change {
    /// Embedding and norms.
    fn weight(&self, weight: &Weight) -> Result<Weight>;
    /// Linear layers of the blocks.
    fn linear(&self, linear: &Linear) -> Result<Linear>;
    /// A head of its own.
    fn head(&self, head: &Linear) -> Result<Linear>;
}

impl Transformer {
    /// Logits of tokens (batch, time) -> (batch, time, vocabulary).
    pub(crate) fn forward(&self, tokens: &Tensor, run: &Run) -> Result<Tensor> {
        let x = self.through(tokens, self.blocks.len(), run)?;
        self.logits(&x, run)
    }

    /// What the head reads: tokens (batch, time) -> (batch, time, hidden).
    pub(crate) fn hidden(&self, tokens: &Tensor, run: &Run) -> Result<Tensor> {
        self.norm.forward(&self.through(tokens, self.blocks.len(), run)?, run)
    }

    /// Takes new ids (batch, new) into the cache; logits of the last: (batch, vocabulary).
    pub(crate) fn step(&self, tokens: &Tensor, cache: &mut Cache, run: &Run) -> Result<Tensor> {
        if tokens.dim(1)? <= Self::FEW && tokens.device().is_cpu() {
            return self.step_by_one(tokens, cache, run);
        }
        #[cfg(feature = "cuda")]
        if tokens.dim(1)? <= Self::FEW
            && tokens.device().is_cuda()
            && let Some(logits) = self.step_there(tokens, cache, run)?
        {
            return Ok(logits);
        }
        // On a thread of the pool, so that ops do not hand each piece of work over from outside.
        rayon::scope(|_| self.step_together(tokens, cache, run))
    }

    /// All new ids at once.
    fn step_together(&self, tokens: &Tensor, cache: &mut Cache, run: &Run) -> Result<Tensor> {
        let (offset, new) = (cache.len(), tokens.dim(1)?);
        let mut x = self.embed(tokens, run)?; // (batch, new, hidden)
        for (block, layer) in self.blocks.iter().zip(cache.layers(self.blocks.len(), run.precision())?) {
            x = block.forward(&x, offset, Some(layer), run)?;
        }
        cache.advance(new);
        let last = x.narrow(1, new - 1, 1)?.squeeze(1)?.contiguous()?; // (batch, hidden)
        self.logits(&last, run)
    }

    /// Attention weights of block `layer`: (batch, heads, time, time).
    pub(crate) fn attention(&self, tokens: &Tensor, layer: usize, run: &Run) -> Result<Tensor> {
        self.blocks[layer].probabilities(&self.through(tokens, layer, run)?, run)
    }

    /// All parts in the order of the forward pass; a tied head is not one.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let head = match &self.head {
            Head::Tied => None,
            Head::Free(linear) => Some(Part::Linear(linear)),
        };
        std::iter::once(Part::Embedding(&self.embedding))
            .chain(self.blocks.iter().flat_map(Block::parts))
            .chain([Part::Norm(&self.norm.weight)])
            .chain(head)
    }

    /// All linear layers, the head included if it is one.
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.parts().filter_map(|part| match part {
            Part::Linear(linear) => Some(linear),
            _ => None,
        })
    }

    /// Another model, part by part.
    pub(crate) fn change(&self, change: &dyn Change) -> Result<Self> {
        Ok(Self {
            embedding: change.weight(&self.embedding)?,
            blocks: self.blocks.iter().map(|block| block.change(change)).collect::<Result<_>>()?,
            norm: self.norm.change(change)?,
            head: match &self.head {
                Head::Tied => Head::Tied,
                Head::Free(linear) => Head::Free(change.head(linear)?),
            },
        })
    }

    /// Ids (batch, time) -> (batch, time, hidden).
    fn embed(&self, tokens: &Tensor, run: &Run) -> Result<Tensor> {
        ops::embedding(tokens, &self.embedding.tensor(run.tracked), run.interrupt())
    }

    /// The residual stream after the first `blocks` blocks: (batch, time, hidden).
    fn through(&self, tokens: &Tensor, blocks: usize, run: &Run) -> Result<Tensor> {
        let mut x = self.embed(tokens, run)?;
        for block in &self.blocks[..blocks] {
            x = block.forward(&x, 0, None, run)?;
        }
        Ok(x)
    }

    /// x (…, hidden) -> (…, vocabulary)
    fn logits(&self, x: &Tensor, run: &Run) -> Result<Tensor> {
        let x = self.norm.forward(x, run)?;
        match &self.head {
            Head::Tied => ops::linear(&x, &self.embedding.tensor(run.tracked), run.precision(), run.interrupt()),
            Head::Free(linear) => linear.forward(&x, run),
        }
    }
}
