//! The fused decoder on the CPU: a transformer as [`ops::decode_step`] takes it.

use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::fused::{FusedDecode, is_llama};
use super::{Block, Head, Linear, Matrix, Mlp, Norm, Projections, Transformer, Weight};
use crate::error::Result;
use crate::nn::kv_cache::Cache;
use crate::nn::ops::{self, ComposedUpdate, Decoder, KvBuffer, LinearRef, Prepacked, UpdateRef};
use crate::nn::{ArchSpec, ForwardCtx, Precision};

/// LLaMA's decoder on the CPU.
pub(super) struct CpuDecode;

impl FusedDecode for CpuDecode {
    fn supports(spec: &ArchSpec) -> bool {
        is_llama(spec)
    }

    fn step(model: &Transformer, tokens: &Tensor, cache: &mut Cache, ctx: &ForwardCtx) -> Result<Option<Tensor>> {
        let prepacked = match ctx.precision {
            Precision::Bf16 | Precision::F16 => cache.prepacked(|| model.prepacked()),
            Precision::F32 => Arc::default(),
        };
        let composed = match model.linears().any(Linear::is_composed) {
            true => cache.composed(|| model.composed())?,
            false => Arc::default(),
        };
        let Some(decoder) = model.decoder_ref(&prepacked, &composed)? else { return Ok(None) };
        let held = cache.len();
        let (rows, vocabulary) = (tokens.dim(0)?, model.spec.vocab_size);
        let mut logits = Vec::new();
        for ids in tokens.t()?.to_vec2::<u32>()? {
            match model.step_one(&decoder, &ids, cache, ctx) {
                Ok(last) => logits = last,
                Err(error) => {
                    cache.forget(held);
                    return Err(error);
                }
            }
        }
        Ok(Some(Tensor::from_vec(logits, (rows, vocabulary), tokens.device())?))
    }
}

impl Transformer {
    /// One id a row -> logits (batch, vocabulary).
    fn step_one(&self, decoder: &Decoder<'_>, ids: &[u32], cache: &mut Cache, ctx: &ForwardCtx) -> Result<Vec<f32>> {
        let position = cache.len();
        let layers = cache.layers(decoder.blocks.len(), ctx.precision)?;
        let mut memory: Vec<(&mut KvBuffer, &mut KvBuffer)> = Vec::with_capacity(layers.len());
        for (layer, block) in layers.iter_mut().zip(&decoder.blocks) {
            memory.push(layer.reserve_cpu(ids.len(), block.kv_heads, block.head_dim, position + 1)?);
        }
        let logits = ops::decode_step(decoder, ids, position, &mut memory, &ctx.interrupt)?;
        cache.advance(1);
        Ok(logits)
    }

    /// The 4-bit weights in the order of [`Transformer::linears`], prepacked where that is possible.
    fn prepacked(&self) -> Vec<Option<Prepacked>> {
        let packed = |linear: &&Linear| match &linear.matrix {
            Matrix::Nf4(codes) => Prepacked::new(codes),
            Matrix::Dense(_) => None,
        };
        self.linears().collect::<Vec<_>>().par_iter().map(packed).collect()
    }

    /// The updates that are not those of A and B alone, in the order of [`Transformer::linears`].
    fn composed(&self) -> Result<Vec<Option<ComposedUpdate>>> {
        self.linears().map(Linear::composed).collect()
    }

    /// Its weights, borrowed; `prepacked` are the 4-bit ones and `composed` the updates that A and B alone are not, in the
    /// order of [`Transformer::linears`], or none. `None` when it has parts that the decoder does not support.
    fn decoder_ref<'a>(
        &'a self,
        prepacked: &'a [Option<Prepacked>],
        composed: &'a [Option<ComposedUpdate>],
    ) -> Result<Option<Decoder<'a>>> {
        let mut prepacked = prepacked.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        let mut composed = composed.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        let mut linear = |linear: &'a Linear| linear.borrow(prepacked.next().flatten(), composed.next().flatten());
        let mut blocks = Vec::with_capacity(self.decoder.blocks.len());
        for block in &self.decoder.blocks {
            let Some(block) = block.borrow(&mut linear)? else { return Ok(None) };
            blocks.push(block);
        }
        let Some(norm) = self.decoder.norm.borrow()? else { return Ok(None) };
        let head = match &self.head {
            Head::Tied => {
                let dims = self.embedding.dims();
                let (weight, shape) = (ops::MatrixRef::Dense(self.embedding.values()?), (dims[0], dims[1]));
                LinearRef { weight, shape, gain: None, update: None }
            }
            Head::Untied(head) => linear(head)?,
        };
        Ok(Some(Decoder { embedding: self.embedding.values()?, blocks, norm, head }))
    }
}

impl Block {
    fn borrow<'a>(
        &'a self,
        linear: &mut impl FnMut(&'a Linear) -> Result<LinearRef<'a>>,
    ) -> Result<Option<ops::BlockRef<'a>>> {
        let attention = &self.attention;
        let (Projections::Separate { q, k, v }, Mlp::Gated { gate, up, down, .. }, Some(rotary)) =
            (&attention.projections, &self.mlp, attention.rotary)
        else {
            return Ok(None);
        };
        let (Some(attention_norm), Some(feed_forward_norm)) = (self.attention_norm.borrow()?, self.mlp_norm.borrow()?)
        else {
            return Ok(None);
        };
        Ok(Some(ops::BlockRef {
            attention_norm,
            q: linear(q)?,
            k: linear(k)?,
            v: linear(v)?,
            o: linear(&attention.output)?,
            heads: attention.heads,
            kv_heads: attention.kv_heads,
            head_dim: attention.head_dim,
            rotary,
            feed_forward_norm,
            gate: linear(gate)?,
            up: linear(up)?,
            down: linear(down)?,
        }))
    }
}

impl Norm {
    fn borrow(&self) -> Result<Option<ops::NormRef<'_>>> {
        match self {
            Self::Rms { weight, eps } => Ok(Some(ops::NormRef { weight: weight.values()?, eps: *eps as f32 })),
            Self::Layer { .. } => Ok(None),
        }
    }
}

impl Linear {
    fn borrow<'a>(
        &'a self,
        prepacked: Option<&'a Prepacked>,
        composed: Option<&'a ComposedUpdate>,
    ) -> Result<LinearRef<'a>> {
        let weight = match &self.matrix {
            Matrix::Dense(weight) => ops::MatrixRef::Dense(weight.values()?),
            Matrix::Nf4(codes) => match prepacked.filter(|prepacked| prepacked.is_of(codes)) {
                Some(prepacked) => ops::MatrixRef::Prepacked(prepacked),
                None => ops::MatrixRef::Nf4(codes),
            },
        };
        let (gain, update) = match (composed, self.lora()) {
            (Some(composed), _) => composed.borrow().map(|(gain, update)| (gain, Some(update)))?,
            (None, Some(lora)) => (None, Some(update(&lora.a, &lora.b, lora.scale)?)),
            (None, None) => (None, None),
        };
        Ok(LinearRef { weight, shape: self.shape, gain, update })
    }
}

fn update<'a>(a: &'a Weight, b: &'a Weight, scale: f64) -> Result<UpdateRef<'a>> {
    Ok(UpdateRef { a: a.values()?, b: b.values()?, rank: a.dims()[0], scale: scale as f32 })
}
