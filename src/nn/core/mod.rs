//! The transformer core: an embedding, a stack of blocks, a head, and an encoder for models that read a source. Families
//! give the names of its weights.

mod attention;
mod block_input;
mod build;
mod decode;
mod decode_cpu;
#[cfg(feature = "cuda")]
mod decode_cuda;
mod fused;
mod linear;
mod map;
mod matrix;
mod mlp;
mod names;
mod norm;
mod places;
mod recompute;
mod relative_vectors;
mod stack;
mod token_rows;
mod update;
#[cfg(test)]
mod update_tests;
mod visit;
mod weight;

use candle_core::Tensor;

pub(crate) use self::attention::{Attention, Projections};
pub(crate) use self::block_input::{BlockInput, EncodedInput, EncodedStates, PassInput, SourceIds};
pub(crate) use self::build::{LinearSpec, WeightSource};
pub(crate) use self::linear::Linear;
pub(crate) use self::map::MapWeights;
pub(crate) use self::matrix::Matrix;
pub(crate) use self::mlp::Mlp;
pub(crate) use self::names::{AttentionNames, StackNames, WeightNames};
pub(crate) use self::norm::Norm;
pub(crate) use self::places::Places;
pub(crate) use self::relative_vectors::RelativeVectors;
use self::stack::without_source;
pub(crate) use self::stack::{Block, CrossAttention, RelativeBias, Stack};
pub(crate) use self::token_rows::TokenRows;
pub(crate) use self::update::{Lora, Magnitude, Update, WeightPart};
pub(crate) use self::visit::Part;
pub(crate) use self::weight::Weight;
use crate::error::{Error, Result};
use crate::nn::kv_cache::{Cache, EncoderCache};
use crate::nn::{ArchSpec, ForwardCtx, ops};

/// A decoder, with or without an encoder: ids in, logits out. Clones share the weights.
#[derive(Debug, Clone)]
pub(crate) struct Transformer {
    /// What it is made of.
    pub(crate) spec: ArchSpec,
    /// (vocabulary, hidden)
    pub(crate) embedding: Weight,
    /// Rows of the embedding that train in the place of those it has.
    pub(crate) token_rows: Option<TokenRows>,
    /// What reads the source, if there is one.
    pub(crate) encoder: Option<Stack>,
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
    pub(crate) fn forward(&self, input: PassInput<'_>, ctx: &ForwardCtx) -> Result<Tensor> {
        let x = self.through(input, self.decoder.blocks.len(), ctx)?;
        self.logits(&x, ctx)
    }

    /// What the head reads: tokens (batch, time) -> (batch, time, hidden).
    pub(crate) fn hidden(&self, input: PassInput<'_>, ctx: &ForwardCtx) -> Result<Tensor> {
        let x = self.through(input, self.decoder.blocks.len(), ctx)?;
        self.decoder.norm.forward(&x, ctx)
    }

    /// Reads a source and keeps in the cache what the steps that follow attend to: the keys and values of each block.
    pub(crate) fn read_source(&self, source: &SourceIds, cache: &mut Cache, ctx: &ForwardCtx) -> Result<()> {
        let states = self.encode(source, ctx)?;
        let crosses = self.decoder.blocks.iter().filter_map(|block| block.cross.as_ref());
        let keys_values = crosses.map(|cross| cross.attention.keys_and_values(&states, ctx)).collect::<Result<_>>()?;
        cache.set_encoder(EncoderCache { keys_values, visible: source.visible.clone() });
        Ok(())
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
        let (held, new) = (cache.len(), tokens.dim(1)?);
        let places = Places::from(held);
        let encoder = cache.encoder();
        if self.encoder.is_some() && encoder.is_none() {
            return Err(without_source());
        }
        let mut x = self.embed(tokens, places, ctx)?; // (batch, new, hidden)
        let bias = self.decoder.bias((new, held + new, held), ctx)?;
        let blocks = &self.decoder.blocks;
        for (i, (block, layer)) in blocks.iter().zip(cache.layers(blocks.len(), ctx.precision)?).enumerate() {
            let encoded = encoder.as_deref().and_then(|encoder| EncodedInput::of_cache(encoder, i));
            let input = BlockInput { places, bias: bias.as_ref(), visible: None, encoded };
            x = block.forward(&x, &input, Some(layer), ctx)?;
        }
        cache.advance(new);
        let last = x.narrow(1, new - 1, 1)?.squeeze(1)?.contiguous()?; // (batch, hidden)
        self.logits(&last, ctx)
    }

    /// Attention weights of block `layer` of the decoder: (batch, heads, time, time).
    pub(crate) fn attention(&self, input: PassInput<'_>, layer: usize, ctx: &ForwardCtx) -> Result<Tensor> {
        let (x, time) = (self.through(input, layer, ctx)?, input.tokens.dim(1)?);
        let bias = self.decoder.bias((time, time, 0), ctx)?;
        let input = BlockInput { places: input.places, bias: bias.as_ref(), ..BlockInput::default() };
        self.decoder.blocks[layer].probabilities(&x, &input, ctx)
    }

    /// Ids (batch, time) -> (batch, time, hidden), with what tells their positions apart.
    fn embed(&self, tokens: &Tensor, places: Places<'_>, ctx: &ForwardCtx) -> Result<Tensor> {
        self.embed_for(&self.decoder, tokens, places, ctx)
    }

    fn embed_for(&self, stack: &Stack, tokens: &Tensor, places: Places<'_>, ctx: &ForwardCtx) -> Result<Tensor> {
        let x = ops::embedding(tokens, &self.table(ctx)?, &ctx.interrupt)?;
        stack.add_positions(x, places, ctx)
    }

    /// The embedding with the rows that train in their places: (vocabulary, hidden).
    pub(crate) fn table(&self, ctx: &ForwardCtx) -> Result<Tensor> {
        match &self.token_rows {
            Some(tokens) => tokens.put_into(&self.embedding, ctx),
            None => Ok(self.embedding.tensor(ctx.grad)),
        }
    }

    /// The encoder's output: (batch, source, hidden).
    fn encode(&self, source: &SourceIds, ctx: &ForwardCtx) -> Result<Tensor> {
        let encoder = self.encoder.as_ref().ok_or_else(no_encoder)?;
        let length = source.tokens.dim(1)?;
        let mut x = self.embed_for(encoder, &source.tokens, Places::default(), ctx)?;
        let bias = encoder.bias((length, length, 0), ctx)?;
        let input = BlockInput { bias: bias.as_ref(), ..BlockInput::of_source(source) };
        for block in &encoder.blocks {
            x = block.forward(&x, &input, None, ctx)?;
        }
        encoder.norm.forward(&x, ctx)
    }

    /// The residual stream of the decoder after the first `blocks` blocks: (batch, time, hidden).
    fn through(&self, input: PassInput<'_>, blocks: usize, ctx: &ForwardCtx) -> Result<Tensor> {
        let states = input.source.map(|source| self.encode(source, ctx)).transpose()?;
        let encoded = input.encoded(states.as_ref());
        let mut x = self.embed(input.tokens, input.places, ctx)?;
        let time = input.tokens.dim(1)?;
        let bias = self.decoder.bias((time, time, 0), ctx)?;
        let input = BlockInput { places: input.places, bias: bias.as_ref(), visible: None, encoded };
        for block in &self.decoder.blocks[..blocks] {
            x = block.forward(&x, &input, None, ctx)?;
        }
        Ok(x)
    }

    /// x (…, hidden) -> (…, vocabulary)
    fn logits(&self, x: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        let mut x = self.decoder.norm.forward(x, ctx)?;
        if let Some(factor) = self.spec.head_scale {
            x = ops::scale(&x, factor, &ctx.interrupt)?;
        }
        match &self.head {
            Head::Tied => ops::linear(&x, &self.table(ctx)?, None, ctx.precision, &ctx.interrupt),
            Head::Untied(linear) => linear.forward(&x, ctx),
        }
    }
}

/// A source for a model that has no encoder.
fn no_encoder() -> Error {
    Error::mistake("the batch has a part for an encoder, and the model has none")
        .with_hint("build the dataset without condition, or make a model with an encoder: model_type \"t5\"")
}
