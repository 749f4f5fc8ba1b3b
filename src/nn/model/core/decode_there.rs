//! A transformer as the decoder of a GPU sees it: one position as a whole (see [`ops::decode::cuda`]).

use candle_core::{Result as Candle, Tensor};

use super::{Block, FeedForward, Head, Linear, Matrix, Norm, Run, Transformer};
use crate::error::Result;
use crate::nn::Cache;
use crate::nn::ops::decode::cuda::{self, Decoding, Heads, Here, Layer, Plan};

impl Transformer {
    /// Takes new ids into the cache one after the other: ids (batch, new) on a GPU -> logits of the last, (batch,
    /// vocabulary). `None` when the kernels do not know what this model is made of, or so many rows.
    pub(super) fn step_there(&self, tokens: &Tensor, cache: &mut Cache, run: &Run) -> Result<Option<Tensor>> {
        let rows = tokens.dim(0)?;
        if rows > Plan::ROWS {
            return Ok(None);
        }
        let (here, tokens) = (Here::of(tokens)?, tokens.contiguous()?);
        let Some(plan) = self.plan(rows, &here)?.filter(Plan::fits) else { return Ok(None) };
        let held = cache.len();
        let mut decoding = match cache.decoding().take().filter(|decoding| decoding.is_for(&plan)) {
            Some(decoding) => decoding,
            None => Box::new(Decoding::new(plan, &here)?),
        };
        for column in 0..tokens.dim(1)? {
            if let Err(error) = self.step_one_there((&tokens, column), &mut decoding, &here, cache, run) {
                cache.forget(held);
                return Err(error);
            }
        }
        let logits = decoding.logits()?;
        *cache.decoding() = Some(decoding);
        Ok(Some(logits))
    }

    /// One id a row: column `column` of the ids.
    fn step_one_there(
        &self,
        (tokens, column): (&Tensor, usize),
        decoding: &mut Decoding,
        here: &Here,
        cache: &mut Cache,
        run: &Run,
    ) -> Result<()> {
        run.interrupt().check()?;
        let (rows, position) = (tokens.dim(0)?, cache.len());
        let layers = cache.layers(self.blocks.len(), run.precision())?;
        let (mut memory, mut capacity) = (Vec::with_capacity(layers.len()), usize::MAX);
        for (layer, block) in layers.iter_mut().zip(&self.blocks) {
            let shape = (rows, block.attention.kv_heads, block.attention.head_dim);
            let (keys, values) = layer.room_there(tokens.device(), shape, position + 1)?;
            capacity = keys.dim(1)?;
            memory.push([here.required(keys)?, here.required(values)?]);
        }
        decoding.step(tokens, column, position, capacity, &memory)?;
        cache.advance(1);
        Ok(())
    }

    /// What the kernels are to read; `None` when they cannot.
    fn plan(&self, rows: usize, here: &Here) -> Candle<Option<Plan>> {
        let Some(heads) = self.heads() else { return Ok(None) };
        let (embedding, norm) = (Layer::dense(self.embedding.borrowed(), here), self.norm.there(here));
        let head = match &self.head {
            Head::Tied => embedding,
            Head::Free(linear) => linear.there(here)?,
        };
        let blocks = self.blocks.iter().map(|block| block.there(here)).collect::<Candle<Option<Vec<_>>>>()?;
        let (Some(embedding), Some(norm), Some(head), Some(blocks)) = (embedding, norm, head, blocks) else {
            return Ok(None);
        };
        Ok(Some(Plan { rows, embedding, blocks, heads, norm, head }))
    }

    /// The heads of all layers, if they are the same everywhere.
    fn heads(&self) -> Option<Heads> {
        let mut all = self.blocks.iter().map(|block| {
            let a = &block.attention;
            Heads { heads: a.heads, kv_heads: a.kv_heads, head_dim: a.head_dim, rope_theta: a.rope_theta }
        });
        let first = all.next()?;
        all.all(|heads| heads == first).then_some(first)
    }
}

impl Block {
    fn there(&self, here: &Here) -> Candle<Option<cuda::Block>> {
        let (attention, FeedForward { gate, up, down }) = (&self.attention, &self.feed_forward);
        let linears = [&attention.q, &attention.k, &attention.v, &attention.o, gate, up, down];
        let mut there = [None; 7];
        for (there, linear) in there.iter_mut().zip(linears) {
            *there = linear.there(here)?;
        }
        let [Some(q), Some(k), Some(v), Some(o), Some(gate), Some(up), Some(down)] = there else { return Ok(None) };
        let norms = (self.attention_norm.there(here), self.feed_forward_norm.there(here));
        let (Some(attention_norm), Some(feed_forward_norm)) = norms else { return Ok(None) };
        Ok(Some(cuda::Block { attention_norm, q, k, v, o, feed_forward_norm, gate, up, down }))
    }
}

impl Norm {
    fn there(&self, here: &Here) -> Option<cuda::Norm> {
        cuda::Norm::new(self.weight.borrowed(), self.eps, here)
    }
}

impl Linear {
    fn there(&self, here: &Here) -> Candle<Option<Layer>> {
        let weight = match &self.matrix {
            Matrix::Dense(weight) => Layer::dense(weight.borrowed(), here),
            Matrix::Nf4(codes) => Some(Layer::nf4(codes, self.shape, here)?),
        };
        Ok(match (weight, &self.adapter) {
            (Some(weight), Some(lora)) => {
                weight.with_update(lora.a.borrowed(), lora.b.borrowed(), lora.scale as f32, here)
            }
            (weight, _) => weight,
        })
    }
}
