//! Attention: to the stream itself, causal or not, or across to what an encoder made; heads may share keys and values
//! (Ainslie et al. 2023), be rotated by their positions, or get a bias by distance.

use candle_core::Tensor;

use super::{BlockInput, EncodedInput, EncodedStates, Linear, MapWeights, Places, RelativeVectors};
use crate::error::{Error, Result};
use crate::nn::ForwardCtx;
use crate::nn::kv_cache::LayerCache;
use crate::nn::ops::{self, AttentionOptions, AttentionShape, PackedSequences, Rotary};

/// An attention of one block.
#[derive(Debug, Clone)]
pub(crate) struct Attention {
    pub(crate) projections: Projections,
    /// (hidden, heads · head_dim)
    pub(crate) output: Linear,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    /// How queries and keys are rotated, if they are.
    pub(crate) rotary: Option<Rotary>,
    /// What scores are multiplied by.
    pub(crate) scale: f32,
    /// Vectors by distance, if there are some.
    pub(crate) vectors: Option<RelativeVectors>,
    /// Whether a position sees those up to its own only.
    pub(crate) causal: bool,
}

/// What makes queries, keys and values of the stream.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // a block has one
pub(crate) enum Projections {
    /// Three linear layers.
    Separate {
        /// (heads · head_dim, hidden)
        q: Linear,
        /// (kv_heads · head_dim, hidden)
        k: Linear,
        /// (kv_heads · head_dim, hidden)
        v: Linear,
    },
    /// One linear layer, queries first: ((heads + 2 kv_heads) · head_dim, hidden).
    Fused(Linear),
}

impl Attention {
    /// Self-attention: x (batch, time, hidden) -> the same shape.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        input: &BlockInput<'_>,
        cache: Option<&mut LayerCache>,
        ctx: &ForwardCtx,
    ) -> Result<Tensor> {
        let (batch, time, _) = x.dims3()?;
        let [q, k, v] = self.project(x, input.places, ctx)?;
        let (k, v) = match cache {
            Some(cache) => cache.append(&k, &v)?,
            None => (k, v),
        };
        let shape = AttentionShape { causal: self.causal, scale: self.scale };
        let vectors = self.vectors((time, k.dim(1)?, input.places.offset), ctx)?;
        let options = AttentionOptions {
            visible: input.visible,
            sequences: input.places.sequences,
            bias: input.bias,
            relative: vectors.as_ref(),
            precision: ctx.precision,
        };
        let y = ops::attention_with(&q, &k, &v, shape, options, &ctx.interrupt)?; // (batch, time, heads, dim)
        self.output.forward(&ops::reshape(&y, (batch, time, self.heads * self.head_dim))?, ctx)
    }

    /// Attention to what the encoder made: x (batch, time, hidden) -> the same shape.
    pub(super) fn cross(&self, x: &Tensor, encoded: EncodedInput<'_>, ctx: &ForwardCtx) -> Result<Tensor> {
        let (batch, time, _) = x.dims3()?;
        let Projections::Separate { q, .. } = &self.projections else { return Err(fused_cross()) };
        let q = ops::reshape(&q.forward(x, ctx)?, (batch, time, self.heads, self.head_dim))?;
        let (k, v) = match encoded.states {
            EncodedStates::Hidden(states) => self.keys_and_values(states, ctx)?,
            EncodedStates::KeysValues(k, v) => (k.clone(), v.clone()),
        };
        let shape = AttentionShape { causal: false, scale: self.scale };
        let visible = Some(encoded.visible);
        let options = AttentionOptions { visible, precision: ctx.precision, ..AttentionOptions::default() };
        let y = ops::attention_with(&q, &k, &v, shape, options, &ctx.interrupt)?; // (batch, time, heads, dim)
        self.output.forward(&ops::reshape(&y, (batch, time, self.heads * self.head_dim))?, ctx)
    }

    /// Keys and values of what the encoder made, (batch, source, hidden): each (batch, source, kv_heads, dim).
    pub(super) fn keys_and_values(&self, states: &Tensor, ctx: &ForwardCtx) -> Result<(Tensor, Tensor)> {
        let (batch, source, _) = states.dims3()?;
        let Projections::Separate { k, v, .. } = &self.projections else { return Err(fused_cross()) };
        let split = |x: &Tensor| ops::reshape(x, (batch, source, self.kv_heads, self.head_dim));
        Ok((split(&k.forward(states, ctx)?)?, split(&v.forward(states, ctx)?)?))
    }

    /// Vectors by distance for queries, keys and the position of the first query: (time + keys − 1, heads, dim).
    fn vectors(&self, sizes: (usize, usize, usize), ctx: &ForwardCtx) -> Result<Option<Tensor>> {
        let shape = (self.heads, self.head_dim, self.causal);
        self.vectors.as_ref().map(|vectors| vectors.of(sizes, shape, ctx)).transpose()
    }

    /// Queries (batch, time, heads, dim), keys and values (batch, time, kv_heads, dim).
    fn project(&self, x: &Tensor, places: Places<'_>, ctx: &ForwardCtx) -> Result<[Tensor; 3]> {
        let (batch, time, _) = x.dims3()?;
        let split = |x: &Tensor, heads: usize| ops::reshape(x, (batch, time, heads, self.head_dim));
        match &self.projections {
            Projections::Separate { q, k, v } => {
                let (q, k) = (split(&q.forward(x, ctx)?, self.heads)?, split(&k.forward(x, ctx)?, self.kv_heads)?);
                let (q, k) = (self.rotate(q, places, ctx)?, self.rotate(k, places, ctx)?);
                Ok([q, k, split(&v.forward(x, ctx)?, self.kv_heads)?])
            }
            Projections::Fused(all) => {
                let all = all.forward(x, ctx)?;
                let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
                let part = |from: usize, heads: usize| {
                    split(&ops::columns(&all, from..from + heads * self.head_dim, &ctx.interrupt)?, heads)
                };
                let (q, k) = (part(0, self.heads)?, part(queries, self.kv_heads)?);
                let (q, k) = (self.rotate(q, places, ctx)?, self.rotate(k, places, ctx)?);
                Ok([q, k, part(queries + keys, self.kv_heads)?])
            }
        }
    }

    /// Rotates by the place in the row: scores depend on differences of positions only.
    fn rotate(&self, x: Tensor, places: Places<'_>, ctx: &ForwardCtx) -> Result<Tensor> {
        match (&self.rotary, places.sequences) {
            (Some(rotary), Some(sequences)) => {
                let rotary = rotary.for_length(sequences.longest(), self.head_dim);
                ops::rope(&x, &rotary, places.offset, &ctx.interrupt)
            }
            (Some(rotary), None) => ops::rope(&x, rotary, places.offset, &ctx.interrupt),
            (None, _) => Ok(x),
        }
    }

    /// The attention weights, which the forward pass never holds: x (batch, time, hidden) -> (batch, heads, time, time).
    pub(super) fn probabilities(&self, x: &Tensor, input: &BlockInput<'_>, ctx: &ForwardCtx) -> Result<Tensor> {
        let (batch, time, _) = x.dims3()?;
        let group = self.heads / self.kv_heads;
        let [q, k, _] = self.project(x, input.places, ctx)?;
        let q = (q.transpose(1, 2)?.contiguous()? * f64::from(self.scale))?; // (batch, heads, time, dim)
        let k = k
            .unsqueeze(3)?
            .broadcast_as((batch, time, self.kv_heads, group, self.head_dim))?
            .reshape((batch, time, self.heads, self.head_dim))?
            .permute((0, 2, 3, 1))?
            .contiguous()?; // (batch, heads, dim, time)
        let whole = vec![0; time];
        let rows = input.places.sequences.map_or(&whole[..], PackedSequences::starts);
        let seen = |start: u32, t: usize, key: usize| key >= start as usize && (key <= t || !self.causal);
        let mask = rows.iter().enumerate().flat_map(|(place, &start)| {
            (0..time).map(move |key| if seen(start, place % time, key) { 0.0 } else { f32::NEG_INFINITY })
        });
        let mask = Tensor::from_vec(mask.collect(), (rows.len() / time, 1, time, time), x.device())?;
        let mut scores = q.matmul(&k)?.broadcast_add(&mask)?; // (batch, heads, time, time)
        if let Some(vectors) = self.vectors((time, time, 0), ctx)? {
            let vectors = vectors.detach().permute((1, 2, 0))?.contiguous()?; // (heads, dim, distances)
            let all = q.broadcast_matmul(&vectors.unsqueeze(0)?)?; // (batch, heads, time, distances)
            // Row t of the scores is a stretch of the distances, one place earlier than that of the row before.
            let rows = (0..time).map(|t| all.narrow(2, t, 1)?.narrow(3, time - 1 - t, time));
            scores = (scores + Tensor::cat(&rows.collect::<candle_core::Result<Vec<_>>>()?, 2)?)?;
        }
        if let Some(bias) = input.bias {
            let ids: Vec<u32> = (0..time).flat_map(|t| (0..time).map(move |key| (key + time - 1 - t) as u32)).collect();
            let ids = Tensor::from_vec(ids, time * time, x.device())?;
            let bias = bias.detach().index_select(&ids, 0)?.reshape((time, time, self.heads))?.permute((2, 0, 1))?;
            scores = scores.broadcast_add(&bias.contiguous()?)?;
        }
        Ok(candle_nn::ops::softmax_last_dim(&scores)?)
    }

    /// Its linear layers in the order of the forward pass.
    pub(super) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let (first, more) = match &self.projections {
            Projections::Separate { q, k, v } => (q, vec![k, v]),
            Projections::Fused(all) => (all, Vec::new()),
        };
        std::iter::once(first).chain(more).chain([&self.output])
    }

    pub(super) fn map(&self, map: &dyn MapWeights) -> Result<Self> {
        let projections = match &self.projections {
            Projections::Separate { q, k, v } => {
                Projections::Separate { q: map.linear(q)?, k: map.linear(k)?, v: map.linear(v)? }
            }
            Projections::Fused(all) => Projections::Fused(map.linear(all)?),
        };
        let vectors = self.vectors.as_ref().map(|vectors| vectors.map(map)).transpose()?;
        Ok(Self { projections, output: map.linear(&self.output)?, vectors, ..*self })
    }
}

/// A family whose names do not fit its description.
fn fused_cross() -> Error {
    Error::internal("one linear layer cannot make queries of one stream and keys of another")
}
