//! Attention with relative biases or relative vectors. candle's custom ops have three inputs at most; here values,
//! biases and vectors are concatenated to one input.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result as Candle, Shape, Tensor};

use super::cpu::AttentionInputs;
use super::{AttentionOp, Sizes};
use crate::error::{Error, Result};
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};
use crate::nn::ops::input::input;

/// A relative bias and relative vectors.
type Extras<'a> = (Option<&'a Tensor>, Option<&'a Tensor>);

/// Refuses a bias that is not (time + keys − 1, heads), and vectors that are not (time + keys − 1, heads or 1, dim).
pub(super) fn check_extras(sizes: &Sizes, (bias, relative): Extras<'_>) -> Result<()> {
    let Sizes { heads, time, keys, dim, .. } = *sizes;
    let distances = sizes.distances();
    let refuse = |what: &str, x: &Tensor, hint: &str| {
        let message = format!("{what} of {:?} do not fit {heads} heads with {time} queries and {keys} keys", x.dims());
        Err(Error::mistake(message).with_hint(hint))
    };
    match (bias, relative) {
        (Some(bias), _) if bias.dims() != [distances, heads] => {
            refuse("biases", bias, "they must be (time + keys − 1, heads)")
        }
        (_, Some(vectors)) if vectors.dims() != [distances, heads, dim] && vectors.dims() != [distances, 1, dim] => {
            refuse("vectors", vectors, "they must be (time + keys − 1, heads or 1, dim)")
        }
        _ => Ok(()),
    }
}

/// The attention of `op` with a bias and vectors of the right shape.
pub(super) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    (bias, relative): Extras<'_>,
    op: AttentionOp,
) -> Result<Tensor> {
    let mut all = v.clone();
    for other in [bias, relative].into_iter().flatten() {
        all = autograd::apply2(&all, &input(other, "attention")?, Join, Saves::NOTHING)?;
    }
    let biases = bias.map_or(0, Tensor::elem_count);
    Ok(autograd::apply3(q, k, &all, Biased { op, biases, relative: relative.is_some() }, Saves::ALL)?)
}

/// Concatenation of two tensors' values.
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

struct Biased {
    op: AttentionOp,
    /// Number of values of the bias.
    biases: usize,
    /// Whether there are vectors.
    relative: bool,
}

impl Biased {
    fn values<'a>(&'a self, q: &'a [f32], k: &'a [f32], all: &'a [f32]) -> AttentionInputs<'a> {
        let (v, rest) = all.split_at(k.len());
        let (bias, relative) = rest.split_at(self.biases);
        AttentionInputs {
            q,
            k,
            v,
            bias: (self.biases > 0).then_some(bias),
            relative: self.relative.then_some(relative),
            visible: self.op.visible.as_deref(),
        }
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
        all: &CpuStorage,
        al: &Layout,
    ) -> Candle<(CpuStorage, Shape)> {
        let out = self.op.forward(&self.values(floats_of(q, ql)?, floats_of(k, kl)?, floats_of(all, al)?));
        Ok((CpuStorage::F32(out), ql.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        all: &Tensor,
        out: &Tensor,
        dy: &Tensor,
    ) -> Candle<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        check(&self.op.interrupt)?;
        let dy = dy.contiguous()?;
        let (qs, ks, alls, out, dy) = (floats(q)?, floats(k)?, floats(all)?, floats(out)?, floats(&dy)?);
        let grads = self.op.backward(&self.values(&qs, &ks, &alls), &out, &dy)?;
        let mut dall = grads.v;
        dall.extend(grads.bias.unwrap_or_default());
        dall.extend(grads.relative.unwrap_or_default());
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((Some(tensor(grads.q, q)?), Some(tensor(grads.k, k)?), Some(tensor(dall, all)?)))
    }
}
