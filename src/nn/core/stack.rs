//! A stack of pre-norm blocks: each part reads the normed residual stream and adds to it.

use candle_core::Tensor;

use super::{Attention, BlockInput, MapWeights, Mlp, Norm, Part, Places, Weight};
use crate::error::{Error, Result};
use crate::nn::ForwardCtx;
use crate::nn::kv_cache::LayerCache;
use crate::nn::ops::{self, RelativeBuckets};

/// The blocks of a transformer, the positions that are added before the first and the norm behind the last.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    /// A vector for each position, if they are learned: (positions, hidden).
    pub(crate) positions: Option<Weight>,
    /// Biases by distance that all of its blocks share.
    pub(crate) relative: Option<RelativeBias>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) norm: Norm,
}

impl Stack {
    /// x (batch, time, hidden) with what tells its positions apart.
    pub(super) fn add_positions(&self, x: Tensor, places: Places<'_>, ctx: &ForwardCtx) -> Result<Tensor> {
        let Some(table) = &self.positions else { return Ok(x) };
        let (batch, time, _) = x.dims3()?;
        let ids = Tensor::from_vec(places.positions(batch, time), (batch, time), x.device())?;
        ops::add(&x, &ops::embedding(&ids, &table.tensor(ctx.grad), &ctx.interrupt)?)
    }

    /// The biases of attention for `time` queries, the first of which is at `offset` of `keys` keys.
    pub(super) fn bias(&self, sizes: (usize, usize, usize), ctx: &ForwardCtx) -> Result<Option<Tensor>> {
        self.relative.as_ref().map(|relative| relative.of(sizes, ctx)).transpose()
    }

    /// Shows its weights to `visit` in the order of the forward pass.
    pub(super) fn visit<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        if let Some(positions) = &self.positions {
            visit(Part::Positions(positions));
        }
        if let Some(relative) = &self.relative {
            visit(Part::RelativeBias(&relative.table));
        }
        self.blocks.iter().for_each(|block| block.visit(visit));
        visit(Part::Norm(&self.norm));
    }

    pub(super) fn map(&self, map: &dyn MapWeights) -> Result<Self> {
        Ok(Self {
            positions: self.positions.as_ref().map(|positions| map.weight(positions)).transpose()?,
            relative: self.relative.as_ref().map(|relative| relative.map(map)).transpose()?,
            blocks: self.blocks.iter().map(|block| block.map(map)).collect::<Result<_>>()?,
            norm: self.norm.map(map)?,
        })
    }
}

/// T5's biases by the bucket of a distance.
#[derive(Debug, Clone)]
pub(crate) struct RelativeBias {
    /// (buckets, heads)
    pub(crate) table: Weight,
    /// How distances fall into buckets.
    pub(crate) buckets: RelativeBuckets,
}

impl RelativeBias {
    /// (time + keys − 1, heads), by distance; see [`ops::relative_bias`].
    pub(super) fn of(&self, sizes: (usize, usize, usize), ctx: &ForwardCtx) -> Result<Tensor> {
        ops::relative_bias(&self.table.tensor(ctx.grad), self.buckets, sizes, &ctx.interrupt)
    }

    fn map(&self, map: &dyn MapWeights) -> Result<Self> {
        Ok(Self { table: map.weight(&self.table)?, ..self.clone() })
    }
}

/// Attention to the encoder's output, and the norm in front of it.
#[derive(Debug, Clone)]
pub(crate) struct CrossAttention {
    pub(crate) norm: Norm,
    pub(crate) attention: Attention,
}

impl CrossAttention {
    fn map(&self, map: &dyn MapWeights) -> Result<Self> {
        Ok(Self { norm: self.norm.map(map)?, attention: self.attention.map(map)? })
    }
}

/// One layer.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) attention_norm: Norm,
    pub(crate) attention: Attention,
    /// In the decoder of a model with an encoder.
    pub(crate) cross: Option<CrossAttention>,
    pub(crate) mlp_norm: Norm,
    pub(crate) mlp: Mlp,
}

impl Block {
    /// x (batch, time, hidden) -> the same shape.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        input: &BlockInput<'_>,
        cache: Option<&mut LayerCache>,
        ctx: &ForwardCtx,
    ) -> Result<Tensor> {
        let mut x = ops::add(x, &self.attention.forward(&self.attention_norm.forward(x, ctx)?, input, cache, ctx)?)?;
        if let Some(CrossAttention { norm, attention }) = &self.cross {
            let encoded = input.encoded.ok_or_else(without_source)?;
            x = ops::add(&x, &attention.cross(&norm.forward(&x, ctx)?, encoded, ctx)?)?;
        }
        ops::add(&x, &self.mlp.forward(&self.mlp_norm.forward(&x, ctx)?, ctx)?)
    }

    /// Attention weights of this block for the stream that enters it: (batch, heads, time, time).
    pub(super) fn probabilities(&self, x: &Tensor, input: &BlockInput<'_>, ctx: &ForwardCtx) -> Result<Tensor> {
        self.attention.probabilities(&self.attention_norm.forward(x, ctx)?, input, ctx)
    }

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        visit(Part::Norm(&self.attention_norm));
        if let Some(vectors) = &self.attention.vectors {
            visit(Part::RelativeVectors(&vectors.table));
        }
        self.attention.linears().for_each(|linear| visit(Part::Linear(linear)));
        if let Some(CrossAttention { norm, attention }) = &self.cross {
            visit(Part::Norm(norm));
            attention.linears().for_each(|linear| visit(Part::Linear(linear)));
        }
        visit(Part::Norm(&self.mlp_norm));
        self.mlp.linears().for_each(|linear| visit(Part::Linear(linear)));
    }

    fn map(&self, map: &dyn MapWeights) -> Result<Self> {
        Ok(Self {
            attention_norm: self.attention_norm.map(map)?,
            attention: self.attention.map(map)?,
            cross: self.cross.as_ref().map(|cross| cross.map(map)).transpose()?,
            mlp_norm: self.mlp_norm.map(map)?,
            mlp: self.mlp.map(map)?,
        })
    }
}

/// A decoder that attends to an encoder's output and was given none.
pub(super) fn without_source() -> Error {
    Error::mistake("the model has an encoder, and was given nothing for it to read")
        .with_hint("a batch for it has an encoder part: dataset(…, #{ condition: \"chords\" }) makes such batches")
}
