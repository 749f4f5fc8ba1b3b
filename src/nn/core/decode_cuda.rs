//! The fused decoder on a GPU: a transformer as its kernels take it (see
//! [`ops::decode::cuda`](crate::nn::ops::decode::cuda)).

use candle_core::{Result as Candle, Tensor};

use super::fused::{FusedDecode, is_llama};
use super::{Block, Head, Linear, Matrix, Mlp, Norm, Projections, Transformer};
use crate::error::Result;
use crate::nn::kv_cache::Cache;
use crate::nn::ops::decode::cuda::{self, Cuda, CudaDecoder, CudaLinear, CudaPlan, Heads};
use crate::nn::{ArchSpec, ForwardCtx};

/// LLaMA's decoder on a GPU.
pub(super) struct CudaDecode;

impl FusedDecode for CudaDecode {
    fn supports(spec: &ArchSpec) -> bool {
        is_llama(spec)
    }

    fn step(model: &Transformer, tokens: &Tensor, cache: &mut Cache, ctx: &ForwardCtx) -> Result<Option<Tensor>> {
        let rows = tokens.dim(0)?;
        if rows > CudaPlan::ROWS {
            return Ok(None);
        }
        let (gpu, tokens) = (Cuda::of(tokens)?, tokens.contiguous()?);
        let Some(plan) = model.plan(rows, &gpu)?.filter(CudaPlan::fits) else { return Ok(None) };
        let held = cache.len();
        let mut decoding = match cache.decoding().take().filter(|decoding| decoding.is_for(&plan)) {
            Some(decoding) => decoding,
            None => Box::new(CudaDecoder::new(plan, &gpu)?),
        };
        for column in 0..tokens.dim(1)? {
            if let Err(error) = model.step_one_cuda((&tokens, column), &mut decoding, &gpu, cache, ctx) {
                cache.forget(held);
                return Err(error);
            }
        }
        let logits = decoding.logits()?;
        *cache.decoding() = Some(decoding);
        Ok(Some(logits))
    }
}

impl Transformer {
    /// One id a row: column `column` of the ids.
    fn step_one_cuda(
        &self,
        (tokens, column): (&Tensor, usize),
        decoding: &mut CudaDecoder,
        gpu: &Cuda,
        cache: &mut Cache,
        ctx: &ForwardCtx,
    ) -> Result<()> {
        ctx.interrupt.check()?;
        let (rows, position) = (tokens.dim(0)?, cache.len());
        let blocks = &self.decoder.blocks;
        let layers = cache.layers(blocks.len(), ctx.precision)?;
        let (mut memory, mut capacity) = (Vec::with_capacity(layers.len()), usize::MAX);
        for (layer, block) in layers.iter_mut().zip(blocks) {
            let shape = (rows, block.attention.kv_heads, block.attention.head_dim);
            let (keys, values) = layer.reserve_cuda(tokens.device(), shape, position + 1)?;
            capacity = keys.dim(1)?;
            memory.push([gpu.required(keys)?, gpu.required(values)?]);
        }
        decoding.step(tokens, column, position, capacity, &memory)?;
        cache.advance(1);
        Ok(())
    }

    /// The arguments of the kernels; `None` when they do not support the model.
    fn plan(&self, rows: usize, gpu: &Cuda) -> Candle<Option<CudaPlan>> {
        let Some(heads) = self.heads() else { return Ok(None) };
        let (embedding, norm) = (CudaLinear::dense(self.embedding.borrowed(), gpu), self.decoder.norm.plan(gpu));
        let head = match &self.head {
            Head::Tied => embedding,
            Head::Untied(linear) => linear.plan(gpu)?,
        };
        let blocks = self.decoder.blocks.iter().map(|block| block.plan(gpu)).collect::<Candle<Option<Vec<_>>>>()?;
        let (Some(embedding), Some(norm), Some(head), Some(blocks)) = (embedding, norm, head, blocks) else {
            return Ok(None);
        };
        Ok(Some(CudaPlan { rows, embedding, blocks, heads, norm, head }))
    }

    /// The heads of all layers, if they are the same everywhere.
    fn heads(&self) -> Option<Heads> {
        let mut all = self.decoder.blocks.iter().map(|block| {
            let a = &block.attention;
            Some(Heads { heads: a.heads, kv_heads: a.kv_heads, head_dim: a.head_dim, rotary: a.rotary? })
        });
        let first = all.next()??;
        all.all(|heads| heads == Some(first)).then_some(first)
    }
}

impl Block {
    fn plan(&self, gpu: &Cuda) -> Candle<Option<cuda::CudaBlock>> {
        let (Projections::Separate { q, k, v }, Mlp::Gated { gate, up, down, .. }) =
            (&self.attention.projections, &self.mlp)
        else {
            return Ok(None);
        };
        let linears = [q, k, v, &self.attention.output, gate, up, down];
        let mut layers = [None; 7];
        for (layer, linear) in layers.iter_mut().zip(linears) {
            *layer = linear.plan(gpu)?;
        }
        let [Some(q), Some(k), Some(v), Some(o), Some(gate), Some(up), Some(down)] = layers else { return Ok(None) };
        let norms = (self.attention_norm.plan(gpu), self.mlp_norm.plan(gpu));
        let (Some(attention_norm), Some(feed_forward_norm)) = norms else { return Ok(None) };
        Ok(Some(cuda::CudaBlock { attention_norm, q, k, v, o, feed_forward_norm, gate, up, down }))
    }
}

impl Norm {
    fn plan(&self, gpu: &Cuda) -> Option<cuda::CudaNorm> {
        match self {
            Self::Rms { weight, eps } => cuda::CudaNorm::new(weight.borrowed(), *eps, gpu),
            Self::Layer { .. } => None,
        }
    }
}

impl Linear {
    fn plan(&self, gpu: &Cuda) -> Candle<Option<CudaLinear>> {
        if self.is_composed() {
            return Ok(None);
        }
        let weight = match &self.matrix {
            Matrix::Dense(weight) => CudaLinear::dense(weight.borrowed(), gpu),
            Matrix::Nf4(codes) => Some(CudaLinear::nf4(codes, self.shape, gpu)?),
        };
        Ok(match (weight, self.lora()) {
            (Some(weight), Some(lora)) => {
                weight.with_update(lora.a.borrowed(), lora.b.borrowed(), lora.scale as f32, gpu)
            }
            (weight, _) => weight,
        })
    }
}
