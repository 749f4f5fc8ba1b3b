//! Scaled dot-product attention in blocks (Dao et al. 2022): no (time × time) tensor, forward or backward.
//!
//! For a block of queries, `S = s · Q Kᵀ` over the keys they may see, `P = softmax(S)`, `O = P V`. Only O and the
//! log-sum-exp of the rows of S are kept; backward makes P again, block by block:
//!
//! ```text
//! dV = Pᵀ dO      dP = dO Vᵀ      dS = s · P ∘ (dP − rowsum(dO ∘ O))      dQ = dS K      dK = dSᵀ Q
//! ```

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result as Candle, Shape, Tensor};

use self::cpu::{Sizes, Values};
use super::cpu::{floats, floats_of, input};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::error::check;

/// What kind of attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Position i of the queries sees keys up to `i + (keys − queries)`; otherwise all.
    pub causal: bool,
    /// Scores are multiplied by this, 1/√head_dim as a rule.
    pub scale: f32,
}

/// q (batch, time, heads, dim), k and v (batch, keys, kv_heads, dim) -> (batch, time, heads, dim); `kv_heads` divides
/// `heads`. Gradients for all three.
///
/// # Errors
/// Shapes that do not fit each other, causal attention with fewer keys than queries, or a stop.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, shape: AttentionShape, i: &Interrupt) -> Result<Tensor> {
    i.check()?;
    let (q, k, v) = (input(q, "attention")?, input(k, "attention")?, input(v, "attention")?);
    let sizes = Sizes::new(q.dims4()?, k.dims4()?, shape);
    let fits = k.dims() == v.dims() && k.dim(0)? == sizes.batch && k.dim(3)? == sizes.dim && sizes.kv_heads > 0;
    if !fits || !sizes.heads.is_multiple_of(sizes.kv_heads) || (sizes.keys == 0 && sizes.time > 0) {
        return Err(Error::mistake(format!(
            "queries of {:?} do not fit keys of {:?} and values of {:?}",
            q.dims(),
            k.dims(),
            v.dims()
        )));
    }
    if shape.causal && sizes.keys < sizes.time {
        return Err(Error::mistake(format!(
            "causal attention wants at least as many keys as queries, not {} and {}",
            sizes.keys, sizes.time
        )));
    }
    #[cfg(feature = "cuda")]
    if q.device().is_cuda() {
        return cuda::attention([&q, &k, &v], &sizes, i);
    }
    Ok(q.apply_op3(&k, &v, Attention { sizes, sums: OnceLock::new(), interrupt: i.clone() })?)
}

struct Attention {
    sizes: Sizes,
    /// The log-sum-exp of the scores of each query: (batch, heads, time).
    sums: OnceLock<Vec<f32>>,
    interrupt: Interrupt,
}

impl CustomOp3 for Attention {
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
        let values = Values { q: floats_of(q, ql)?, k: floats_of(k, kl)?, v: floats_of(v, vl)? };
        let (out, sums) = cpu::forward(&self.sizes, &values);
        let _ = self.sums.set(sums);
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
        let sums = self.sums.get().ok_or_else(|| candle_core::Error::msg("attention: backward before forward"))?;
        let values = Values { q: &qs, k: &ks, v: &vs };
        let [dq, dk, dv] = cpu::backward(&self.sizes, &values, &out, sums, &dy);
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((Some(tensor(dq, q)?), Some(tensor(dk, k)?), Some(tensor(dv, v)?)))
    }
}
