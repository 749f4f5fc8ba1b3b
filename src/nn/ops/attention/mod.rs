//! Scaled dot-product attention in blocks (Dao et al. 2022): no (time × time) tensor, forward or backward.
//!
//! For a block of queries, `S = s · Q Kᵀ` over the keys they may see, `P = softmax(S)`, `O = P V`. Only O and the
//! log-sum-exp of the rows of S are kept; backward makes P again, block by block:
//!
//! ```text
//! dV = Pᵀ dO      dP = dO Vᵀ      dS = s · P ∘ (dP − rowsum(dO ∘ O))      dQ = dS K      dK = dSᵀ Q
//! ```
//!
//! A bias by distance is added to S; its gradient is the sum of dS / s along the diagonals. Vectors by distance, `S = s · Q
//! (K + E)ᵀ`, get `Σ dS q` along them.

#[cfg(feature = "cuda")]
mod bf16;
mod biased;
mod buckets;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
mod cuda_inputs;
#[cfg(feature = "cuda")]
mod distance;
mod packed;
#[cfg(test)]
mod packed_tests;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Layout, Result as Candle, Shape, Tensor};

pub use self::buckets::{RelativeBuckets, relative_bias};
pub(super) use self::cpu::cached_attention;
use self::cpu::{AttentionGradients, AttentionInputs, SavedForward, Sizes};
pub use self::packed::{PackedSequences, unpadded};
use super::input::input;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::Precision;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};

/// Causality and scale of an attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Position i of the queries sees keys up to `i + (keys − queries)`; otherwise all.
    pub causal: bool,
    /// Scores are multiplied by this, 1/√head_dim as a rule.
    pub scale: f32,
}

/// Further inputs of attention: padding, packing, biases, relative vectors, precision; the default has none, in f32.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttentionOptions<'a> {
    /// The keys of each row of the batch that are not padding. A query that sees none of them gets 0.
    pub visible: Option<&'a [Range<usize>]>,
    /// The packed sequences of rows, each of which attends to itself only; causal, and without `visible`.
    pub sequences: Option<&'a PackedSequences>,
    /// Added to the scaled scores, by distance: (time + keys − 1, heads), where entry `j − t + time − 1` is for key j
    /// and query t, both counted from 0; see [`relative_bias`] for T5's.
    pub bias: Option<&'a Tensor>,
    /// Vectors e whose products with the queries are added to theirs with the keys, `s · q · (k + e[distance])`, by
    /// distance as the bias is: (time + keys − 1, heads or 1, dim). The relative attention of the Music Transformer (Huang
    /// et al. 2018, arXiv:1809.04281).
    pub relative: Option<&'a Tensor>,
    /// The number format of products on a GPU, without vectors by distance; on the CPU it is f32. The softmax is f32.
    pub precision: Precision,
}

/// q (batch, time, heads, dim), k and v (batch, keys, kv_heads, dim) -> (batch, time, heads, dim); `kv_heads` divides
/// `heads`. Gradients for all three.
///
/// # Errors
/// Shapes that do not fit each other, causal attention with fewer keys than queries, or `interrupted`, when the user cancels.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, shape: AttentionShape, i: &Interrupt) -> Result<Tensor> {
    attention_with(q, k, v, shape, AttentionOptions::default(), i)
}

/// [`attention`] with padding, packed sequences, and with relative biases and vectors, which get gradients, too.
///
/// # Errors
/// See [`attention`]; ranges beyond the keys, or not one for each row.
pub fn attention_with(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    shape: AttentionShape,
    options: AttentionOptions<'_>,
    i: &Interrupt,
) -> Result<Tensor> {
    i.check()?;
    let (q, k, v) = (input(q, "attention")?, input(k, "attention")?, input(v, "attention")?);
    let sizes = Sizes::new(q.dims4()?, k.dims4()?, shape);
    check_sizes(&sizes, &q, &k, &v)?;
    let visible = options.visible.map(|ranges| check_visible(&sizes, ranges)).transpose()?;
    check_sequences(&sizes, &options)?;
    biased::check_extras(&sizes, (options.bias, options.relative))?;
    #[cfg(feature = "cuda")]
    if q.device().is_cuda() {
        return cuda::attention([&q, &k, &v], &sizes, visible.as_deref(), &options, i);
    }
    let sequences = options.sequences.cloned();
    let op = AttentionOp { sizes, visible, sequences, sums: OnceLock::new(), interrupt: i.clone() };
    match (options.bias, options.relative) {
        (None, None) => Ok(autograd::apply3(&q, &k, &v, op, Saves::ALL)?),
        (bias, relative) => biased::attention(&q, &k, &v, (bias, relative), op),
    }
}

fn check_sizes(sizes: &Sizes, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<()> {
    let fits = k.dims() == v.dims() && k.dim(0)? == sizes.batch && k.dim(3)? == sizes.dim && sizes.kv_heads > 0;
    if !fits || !sizes.heads.is_multiple_of(sizes.kv_heads) || (sizes.keys == 0 && sizes.time > 0) {
        return Err(Error::mistake(format!(
            "queries of {:?} do not fit keys of {:?} and values of {:?}",
            q.dims(),
            k.dims(),
            v.dims()
        )));
    }
    if sizes.causal && sizes.keys < sizes.time {
        return Err(Error::mistake(format!(
            "causal attention needs at least as many keys as queries, not {} and {}",
            sizes.keys, sizes.time
        )));
    }
    Ok(())
}

fn check_visible(sizes: &Sizes, ranges: &[Range<usize>]) -> Result<Arc<[Range<usize>]>> {
    if ranges.len() != sizes.batch {
        return Err(Error::mistake(format!("{} ranges of keys for {} rows", ranges.len(), sizes.batch)));
    }
    match ranges.iter().find(|range| range.start > range.end || range.end > sizes.keys) {
        Some(range) => Err(Error::mistake(format!("{range:?} is not a range of {} keys", sizes.keys))),
        None => Ok(ranges.into()),
    }
}

fn check_sequences(sizes: &Sizes, options: &AttentionOptions<'_>) -> Result<()> {
    let Some(sequences) = options.sequences else { return Ok(()) };
    let (batch, time, keys) = (sizes.batch, sizes.time, sizes.keys);
    if !sequences.fit(batch, time) || keys != time || !sizes.causal || options.visible.is_some() {
        return Err(Error::mistake(format!(
            "packed sequences do not fit {batch} rows of {time} queries and {keys} keys"
        ))
        .with_hint("they go with causal attention of rows to themselves, without padding"));
    }
    Ok(())
}

struct AttentionOp {
    sizes: Sizes,
    /// The keys of each row that are not padding.
    visible: Option<Arc<[Range<usize>]>>,
    sequences: Option<PackedSequences>,
    /// The log-sum-exp of the scores of each query: (batch, heads, time), or that for each run of packed sequences.
    sums: OnceLock<Vec<f32>>,
    interrupt: Interrupt,
}

impl AttentionOp {
    fn forward(&self, values: &AttentionInputs<'_>) -> Vec<f32> {
        let (out, sums) = match &self.sequences {
            Some(sequences) => cpu::packed::forward(sequences, &self.sizes, values),
            None => cpu::forward(&self.sizes, values),
        };
        let _ = self.sums.set(sums);
        out
    }

    fn backward(&self, values: &AttentionInputs<'_>, out: &[f32], dy: &[f32]) -> Candle<AttentionGradients> {
        let sums = self.sums.get().ok_or_else(|| candle_core::Error::msg("attention: backward before forward"))?;
        let known = SavedForward { out, sums, dy };
        Ok(match &self.sequences {
            Some(sequences) => cpu::packed::backward(sequences, &self.sizes, values, &known),
            None => cpu::backward(&self.sizes, values, &known),
        })
    }
}

impl CustomOp3 for AttentionOp {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        ql: &Layout,
        k: &CpuStorage,
        kl: &Layout,
        v: &CpuStorage,
        vl: &Layout,
    ) -> Candle<(CpuStorage, Shape)> {
        let (q, k, v, visible) = (floats_of(q, ql)?, floats_of(k, kl)?, floats_of(v, vl)?, self.visible.as_deref());
        let out = self.forward(&AttentionInputs { q, k, v, bias: None, relative: None, visible });
        Ok((CpuStorage::F32(out), ql.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        dy: &Tensor,
    ) -> Candle<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let (qs, ks, vs, out, dy) = (floats(q)?, floats(k)?, floats(v)?, floats(out)?, floats(&dy)?);
        let values =
            AttentionInputs { q: &qs, k: &ks, v: &vs, bias: None, relative: None, visible: self.visible.as_deref() };
        let grads = self.backward(&values, &out, &dy)?;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((Some(tensor(grads.q, q)?), Some(tensor(grads.k, k)?), Some(tensor(grads.v, v)?)))
    }
}
