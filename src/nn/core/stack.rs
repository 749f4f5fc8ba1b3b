//! A stack of pre-norm blocks: each part reads the normed residual stream and adds to it.

use candle_core::Tensor;

use super::{Attention, MapWeights, Mlp, Norm, Part, Places, Weight};
use crate::error::Result;
use crate::nn::ForwardCtx;
use crate::nn::kv_cache::LayerCache;
use crate::nn::ops;

/// The blocks of a transformer, the positions that are added before the first and the norm behind the last.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    /// A vector for each position, if they are learned: (positions, hidden).
    pub(crate) positions: Option<Weight>,
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

    /// Shows its weights to `visit` in the order of the forward pass.
    pub(super) fn visit<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        if let Some(positions) = &self.positions {
            visit(Part::Positions(positions));
        }
        self.blocks.iter().for_each(|block| block.visit(visit));
        visit(Part::Norm(&self.norm));
    }

    pub(super) fn map(&self, map: &dyn MapWeights) -> Result<Self> {
        Ok(Self {
            positions: self.positions.as_ref().map(|positions| map.weight(positions)).transpose()?,
            blocks: self.blocks.iter().map(|block| block.map(map)).collect::<Result<_>>()?,
            norm: self.norm.map(map)?,
        })
    }
}

/// One layer.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) attention_norm: Norm,
    pub(crate) attention: Attention,
    pub(crate) mlp_norm: Norm,
    pub(crate) mlp: Mlp,
}

impl Block {
    /// x (batch, time, hidden) -> the same shape.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        places: Places<'_>,
        cache: Option<&mut LayerCache>,
        ctx: &ForwardCtx,
    ) -> Result<Tensor> {
        let x = ops::add(x, &self.attention.forward(&self.attention_norm.forward(x, ctx)?, places, cache, ctx)?)?;
        ops::add(&x, &self.mlp.forward(&self.mlp_norm.forward(&x, ctx)?, ctx)?)
    }

    /// Attention weights of this block for the stream that enters it: (batch, heads, time, time).
    pub(super) fn probabilities(&self, x: &Tensor, places: Places<'_>, ctx: &ForwardCtx) -> Result<Tensor> {
        self.attention.probabilities(&self.attention_norm.forward(x, ctx)?, places, ctx)
    }

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        visit(Part::Norm(&self.attention_norm));
        self.attention.linears().for_each(|linear| visit(Part::Linear(linear)));
        visit(Part::Norm(&self.mlp_norm));
        self.mlp.linears().for_each(|linear| visit(Part::Linear(linear)));
    }

    fn map(&self, map: &dyn MapWeights) -> Result<Self> {
        Ok(Self {
            attention_norm: self.attention_norm.map(map)?,
            attention: self.attention.map(map)?,
            mlp_norm: self.mlp_norm.map(map)?,
            mlp: self.mlp.map(map)?,
        })
    }
}
