//! Attention of one query a row, as in decoding: keys and values are read once, sequentially, 16 keys at a time for all
//! heads of a task.

use rayon::prelude::*;

use super::kernels::{CpuKernels, Dots, GROUP, LaneProduct, Left, Number, kernels};
use super::{AttentionInputs, LOG2_E, Sizes};
use crate::nn::cpu::{dot, exp, for_each_isa, sum};

/// Keys and values below which another thread is not worth waking.
const SERIAL: usize = 1 << 17;

/// The output (batch, 1, heads, dim), and log₂ Σ 2^score of each head (batch, heads).
pub(super) fn forward(s: &Sizes, x: &AttentionInputs<'_>) -> (Vec<f32>, Vec<f32>) {
    let (mut out, mut sums) = (vec![0.0; x.q.len()], vec![0.0; s.batch * s.heads]);
    if x.q.is_empty() {
        return (out, sums);
    }
    let group = s.heads / s.kv_heads;
    // The heads of keys of a task: a share of neighbouring heads, so that a row of keys is read sequentially.
    let share = s.kv_heads.div_ceil(rayon::current_num_threads()).max(SERIAL / (s.keys * s.dim).max(1));
    let tasks = (0..s.batch).flat_map(|b| (0..s.kv_heads).step_by(share.max(1)).map(move |kv| (b, kv)));
    let heads = |kv: usize| group * share.max(1).min(s.kv_heads - kv);
    let (mut rest, mut work) = ((&mut out[..], &mut sums[..]), Vec::new());
    for (b, kv) in tasks {
        let (out, sums) = (rest.0.split_at_mut(heads(kv) * s.dim), rest.1.split_at_mut(heads(kv)));
        rest = (out.1, sums.1);
        work.push(QueryTask { b, kv, keys: x.visible(s, b), out: out.0, sums: sums.0 });
    }
    let alone = (SERIAL / (s.keys * s.kv_heads * s.dim).max(1)).max(1);
    work.into_par_iter().with_min_len(alone).for_each(|task| task.run(s, x));
    (out, sums)
}

/// Some heads of one row.
struct QueryTask<'a> {
    b: usize,
    /// The first head of keys.
    kv: usize,
    /// The keys it sees.
    keys: std::ops::Range<usize>,
    /// (heads, dim)
    out: &'a mut [f32],
    sums: &'a mut [f32],
}

impl QueryTask<'_> {
    fn run(self, s: &Sizes, x: &AttentionInputs<'_>) {
        let (group, step) = (s.heads / s.kv_heads, s.kv_heads * s.dim);
        let (at, keys) = ((self.b * s.keys + self.keys.start) * step + self.kv * s.dim, self.keys.len());
        let q = &x.q[(self.b * s.heads + self.kv * group) * s.dim..][..self.out.len()];
        let given = QueryInputs { dim: s.dim, keys, kernels: kernels(), group, step, k: &x.k[at..], v: &x.v[at..] };
        let mut p = vec![0.0; self.sums.len() * keys]; // (heads, keys)
        for first in (0..keys).step_by(GROUP) {
            given.scores(q, first..keys.min(first + GROUP), &mut p);
        }
        self.add_extras(s, x, q, &mut p);
        for (p, sum) in p.chunks_exact_mut(keys).zip(self.sums) {
            *sum = softmax(p, s.scale) * LOG2_E;
        }
        for first in (0..keys).step_by(GROUP) {
            given.mix(&p, first..keys.min(first + GROUP), self.out);
        }
    }
}

impl QueryTask<'_> {
    /// Adds to the products p (heads, keys) of queries and keys, which are yet to be scaled, the products with relative
    /// vectors and the relative bias. Entry j of both is for key j.
    fn add_extras(&self, s: &Sizes, x: &AttentionInputs<'_>, q: &[f32], p: &mut [f32]) {
        let (first, keys) = (self.kv * (s.heads / s.kv_heads), self.keys.len());
        if let Some(vectors) = x.relative {
            let own = x.relative_heads(s);
            let mut products = vec![0.0; keys];
            for (h, (q, p)) in q.chunks_exact(s.dim).zip(p.chunks_exact_mut(keys)).enumerate() {
                let vectors = &vectors[(self.keys.start * own + (first + h) % own) * s.dim..];
                for at in (0..keys).step_by(GROUP) {
                    let end = keys.min(at + GROUP);
                    weigh(kernels(), q, &vectors[at * own * s.dim..], own * s.dim, &mut products[at..end]);
                }
                p.iter_mut().zip(&products).for_each(|(p, product)| *p += product);
            }
        }
        if let Some(bias) = x.bias {
            for (h, p) in p.chunks_exact_mut(keys).enumerate() {
                let bias = bias[self.keys.start * s.heads..].iter().skip(first + h).step_by(s.heads);
                p.iter_mut().zip(bias).for_each(|(p, bias)| *p += bias / s.scale);
            }
        }
    }
}

struct QueryInputs<'a> {
    dim: usize,
    /// The number of visible keys.
    keys: usize,
    kernels: &'static CpuKernels,
    group: usize,
    /// The distance between keys.
    step: usize,
    k: &'a [f32],
    v: &'a [f32],
}

impl QueryInputs<'_> {
    /// p[h, j] = q[h] · k[j, group of h]
    fn scores(&self, q: &[f32], keys: std::ops::Range<usize>, p: &mut [f32]) {
        let dim = self.dim;
        for (h, q) in q.chunks_exact(dim).enumerate() {
            let k = &self.k[keys.start * self.step + h / self.group * dim..];
            weigh(self.kernels, q, k, self.step, &mut p[h * self.keys..][keys.clone()]);
        }
    }

    /// out[h] += Σ p[h, j] · v[j, group of h]
    fn mix(&self, p: &[f32], keys: std::ops::Range<usize>, out: &mut [f32]) {
        let (dim, group) = (self.dim, self.group);
        for (g, out) in out.chunks_exact_mut(group * dim).enumerate() {
            let p = &p[g * group * self.keys + keys.start..];
            let v = &self.v[keys.start * self.step + g * dim..];
            mix(self.kernels, (p, self.keys), keys.len(), (v, self.step), dim, out);
        }
    }
}

/// out[j] = q · k[j], for rows of k that lie `step` apart.
pub(super) fn weigh<T: Number>(kernels: &CpuKernels, q: &[f32], k: &[T], step: usize, out: &mut [f32]) {
    if q.len().is_multiple_of(GROUP) {
        (T::products(kernels).dots)(Dots { q, k, step, out });
    } else {
        few_dots(q, &T::widened(k), step, out);
    }
}

/// out[h] += Σ p[h, j] · v[j] over the first `count` keys, for the heads (…, dim) of `out`; the distances of the rows
/// of p and v are given with them.
pub(super) fn mix<T: Number>(
    kernels: &CpuKernels,
    (p, p_step): (&[f32], usize),
    count: usize,
    (v, v_step): (&[T], usize),
    dim: usize,
    out: &mut [f32],
) {
    if dim.is_multiple_of(GROUP) {
        (T::products(kernels).product)(LaneProduct {
            rows: out.len() / dim,
            depth: count,
            groups: dim / GROUP,
            a: Left { data: p, row: p_step, col: 1 },
            b: v,
            b_row: v_step,
            out,
            out_row: dim,
            add: true,
        });
    } else {
        let v = T::widened(v);
        for (h, out) in out.chunks_exact_mut(dim).enumerate() {
            few_sums(&p[h * p_step..][..count], &v, v_step, out);
        }
    }
}

for_each_isa! {
    fn few_dots(q: &[f32], k: &[f32], step: usize, out: &mut [f32]) {
        for (j, out) in out.iter_mut().enumerate() {
            *out = dot(q, &k[j * step..][..q.len()]);
        }
    }
}

for_each_isa! {
    fn few_sums(p: &[f32], v: &[f32], step: usize, out: &mut [f32]) {
        for (j, p) in p.iter().enumerate() {
            let v = &v[j * step..][..out.len()];
            for (out, v) in out.iter_mut().zip(v) {
                *out += p * v;
            }
        }
    }
}

for_each_isa! {
    /// Softmax of `scale ·` the scores; gives the log-sum-exp.
    pub(super) fn softmax(scores: &mut [f32], scale: f32) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; 32];
        let (chunks, rest) = scores.as_chunks_mut::<32>();
        for x in rest.iter_mut() {
            *x *= scale;
        }
        for chunk in chunks {
            for i in 0..32 {
                chunk[i] *= scale;
                lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
            }
        }
        let highest = rest.iter().chain(&lanes).fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        for x in scores.iter_mut() {
            *x = exp(*x - highest);
        }
        let total = sum(scores);
        let share = 1.0 / total;
        for x in scores.iter_mut() {
            *x *= share;
        }
        highest + total.ln()
    }
}
