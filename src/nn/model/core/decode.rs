//! A transformer as the decoder of [`ops::decode_step`] sees it.

use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::{Attention, FeedForward, Head, Linear, Matrix, Norm, Run, Transformer, Weight};
use crate::error::Result;
use crate::nn::ops::{self, Decoder, Factor, Held, Panels, Update};
use crate::nn::{Cache, Precision};

impl Transformer {
    /// So many new ids are taken one after the other sooner than together; a chord and what follows it are two.
    pub(super) const FEW: usize = 4;

    /// Takes new ids into the cache one after the other, all layers as one op on the CPU: ids (batch, new) -> logits of the
    /// last, (batch, vocabulary).
    pub(super) fn step_by_one(&self, tokens: &Tensor, cache: &mut Cache, run: &Run) -> Result<Tensor> {
        let panels = match run.precision() {
            Precision::Bf16 | Precision::F16 => cache.panels(|| self.panels()),
            _ => Arc::default(),
        };
        let (decoder, held) = (self.decoder(&panels)?, cache.len());
        let (rows, vocabulary) = (tokens.dim(0)?, self.embedding.dims()[0]);
        let mut logits = Vec::new();
        for ids in tokens.t()?.to_vec2::<u32>()? {
            match self.step_one(&decoder, &ids, cache, run) {
                Ok(said) => logits = said,
                Err(error) => {
                    cache.forget(held);
                    return Err(error);
                }
            }
        }
        Ok(Tensor::from_vec(logits, (rows, vocabulary), tokens.device())?)
    }

    /// One id a row -> logits (batch, vocabulary).
    fn step_one(&self, decoder: &Decoder<'_>, ids: &[u32], cache: &mut Cache, run: &Run) -> Result<Vec<f32>> {
        let position = cache.len();
        let layers = cache.layers(self.blocks.len(), run.precision())?;
        let mut memory: Vec<(&mut Held, &mut Held)> = Vec::with_capacity(layers.len());
        for (layer, block) in layers.iter_mut().zip(&decoder.blocks) {
            memory.push(layer.room(ids.len(), block.kv_heads, block.head_dim, position + 1)?);
        }
        let logits = ops::decode_step(decoder, ids, position, &mut memory, run.interrupt())?;
        cache.advance(1);
        Ok(logits)
    }

    /// The 4-bit weights in the order of [`Transformer::linears`], laid out anew where that is possible.
    fn panels(&self) -> Vec<Option<Panels>> {
        let packed = |linear: &&Linear| match &linear.matrix {
            Matrix::Nf4(codes) => Panels::new(codes),
            Matrix::Dense(_) => None,
        };
        self.linears().collect::<Vec<_>>().par_iter().map(packed).collect()
    }

    /// `panels` are those of its weights, in the order of [`Transformer::linears`], or none.
    fn decoder<'a>(&'a self, panels: &'a [Option<Panels>]) -> Result<Decoder<'a>> {
        let mut panels = panels.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        let mut factor = |linear: &'a Linear| linear.factor(panels.next().flatten());
        let blocks = self.blocks.iter().map(|block| {
            let Attention { q, k, v, o, heads, kv_heads, head_dim, rope_theta } = &block.attention;
            let FeedForward { gate, up, down } = &block.feed_forward;
            Ok(ops::Block {
                attention_norm: block.attention_norm.values()?,
                q: factor(q)?,
                k: factor(k)?,
                v: factor(v)?,
                o: factor(o)?,
                heads: *heads,
                kv_heads: *kv_heads,
                head_dim: *head_dim,
                rope_theta: *rope_theta,
                feed_forward_norm: block.feed_forward_norm.values()?,
                gate: factor(gate)?,
                up: factor(up)?,
                down: factor(down)?,
            })
        });
        let blocks = blocks.collect::<Result<_>>()?;
        let head = match &self.head {
            Head::Tied => {
                let dims = self.embedding.dims();
                let (weight, shape) = (ops::Matrix::Dense(self.embedding.values()?), (dims[0], dims[1]));
                Factor { weight, shape, update: None }
            }
            Head::Free(linear) => factor(linear)?,
        };
        Ok(Decoder { embedding: self.embedding.values()?, blocks, norm: self.norm.values()?, head })
    }
}

impl Norm {
    fn values(&self) -> Result<ops::Norm<'_>> {
        Ok(ops::Norm { weight: self.weight.values()?, eps: self.eps as f32 })
    }
}

impl Linear {
    fn factor<'a>(&'a self, panels: Option<&'a Panels>) -> Result<Factor<'a>> {
        let weight = match &self.matrix {
            Matrix::Dense(weight) => ops::Matrix::Dense(weight.values()?),
            Matrix::Nf4(codes) => match panels.filter(|panels| panels.is_of(codes)) {
                Some(panels) => ops::Matrix::Panels(panels),
                None => ops::Matrix::Nf4(codes),
            },
        };
        let update = self.adapter.as_ref().map(|lora| update(&lora.a, &lora.b, lora.scale)).transpose()?;
        Ok(Factor { weight, shape: self.shape, update })
    }
}

fn update<'a>(a: &'a Weight, b: &'a Weight, scale: f64) -> Result<Update<'a>> {
    Ok(Update { a: a.values()?, b: b.values()?, rank: a.dims()[0], scale: scale as f32 })
}
