//! Attention with a bias by distance. A custom op of candle has three inputs; here values and bias are one of them, one
//! behind the other.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result as Candle, Shape, Tensor};

use super::cpu::Values;
use super::{Attention, Sizes};
use crate::error::{Error, Result};
use crate::nn::error::check;
use crate::nn::ops::cpu::{floats, floats_of, input};
use crate::nn::tape;

/// The attention of `op` with `bias` (time + keys − 1, heads) added to the scores.
pub(super) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, bias: &Tensor, op: Attention) -> Result<Tensor> {
    let bias = input(bias, "attention")?;
    let Sizes { heads, time, keys, .. } = op.sizes;
    if bias.dims() != [op.sizes.distances(), heads] {
        return Err(Error::mistake(format!(
            "a bias of {:?} does not fit {heads} heads with {time} queries and {keys} keys",
            bias.dims()
        ))
        .with_hint("it must be (time + keys − 1, heads)"));
    }
    let both = tape::apply2(v, &bias, Join)?;
    Ok(tape::apply3(q, k, &both, Biased(op))?)
}

/// The values of two tensors, one behind the other.
struct Join;

impl CustomOp2 for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    fn cpu_fwd(&self, a: &CpuStorage, al: &Layout, b: &CpuStorage, bl: &Layout) -> Candle<(CpuStorage, Shape)> {
        let both = [floats_of(a, al)?, floats_of(b, bl)?].concat();
        let shape = Shape::from(both.len());
        Ok((CpuStorage::F32(both), shape))
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        let da = dy.narrow(0, 0, a.elem_count())?.reshape(a.shape())?;
        Ok((Some(da), Some(dy.narrow(0, a.elem_count(), b.elem_count())?.copy()?.reshape(b.shape())?)))
    }
}

struct Biased(Attention);

impl Biased {
    fn values<'a>(&'a self, q: &'a [f32], k: &'a [f32], both: &'a [f32]) -> Values<'a> {
        let (v, bias) = both.split_at(k.len());
        Values { q, k, v, bias: Some(bias), visible: self.0.visible.as_deref() }
    }
}

impl CustomOp3 for Biased {
    fn name(&self) -> &'static str {
        "biased_attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        ql: &Layout,
        k: &CpuStorage,
        kl: &Layout,
        both: &CpuStorage,
        bl: &Layout,
    ) -> Candle<(CpuStorage, Shape)> {
        let out = self.0.forward(&self.values(floats_of(q, ql)?, floats_of(k, kl)?, floats_of(both, bl)?));
        Ok((CpuStorage::F32(out), ql.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        both: &Tensor,
        out: &Tensor,
        dy: &Tensor,
    ) -> Candle<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        check(&self.0.interrupt)?;
        let dy = dy.contiguous()?;
        let (qs, ks, all, out, dy) = (floats(q)?, floats(k)?, floats(both)?, floats(out)?, floats(&dy)?);
        let grads = self.0.backward(&self.values(&qs, &ks, &all), &out, &dy)?;
        let mut dboth = grads.v;
        dboth.extend(grads.bias.unwrap_or_default());
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((Some(tensor(grads.q, q)?), Some(tensor(grads.k, k)?), Some(tensor(dboth, both)?)))
    }
}
