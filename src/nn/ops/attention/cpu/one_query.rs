//! One query a row, as in decoding: keys and values are read once, in the order they lie in.

use rayon::prelude::*;

use super::{Sizes, Values, softmax};
use crate::nn::ops::cpu::{dot, for_each_isa};

/// Keys and values below which another thread is not worth waking.
const SERIAL: usize = 1 << 19;

/// The output (batch, 1, heads, dim), and the log-sum-exp of the scores of each head (batch, heads).
pub(super) fn forward(s: &Sizes, x: &Values<'_>) -> (Vec<f32>, Vec<f32>) {
    let (wide, kv_wide) = (s.heads * s.dim, s.kv_heads * s.dim);
    let (mut out, mut sums) = (vec![0.0; x.q.len()], vec![0.0; s.batch * s.heads]);
    if x.q.is_empty() {
        return (out, sums);
    }
    let rows = out.par_chunks_mut(wide).zip(sums.par_chunks_mut(s.heads)).enumerate();
    let alone = (SERIAL / (s.keys * kv_wide)).max(1);
    rows.with_min_len(alone).for_each(|(b, (out, sums))| {
        let at = b * s.keys * kv_wide..(b + 1) * s.keys * kv_wide;
        let mut p = vec![0.0; s.heads * s.keys]; // (heads, keys)
        scores(&x.q[b * wide..(b + 1) * wide], &x.k[at.clone()], s, &mut p);
        for (p, sum) in p.chunks_exact_mut(s.keys).zip(sums) {
            *sum = softmax(p, s.keys);
        }
        mix(&p, &x.v[at], s, out);
    });
    (out, sums)
}

for_each_isa! {
    /// p[h, j] = scale · q[h] · k[j, group of h]
    fn scores(q: &[f32], k: &[f32], s: &Sizes, p: &mut [f32]) {
        let group = s.heads / s.kv_heads;
        for (j, k) in k.chunks_exact(s.kv_heads * s.dim).enumerate() {
            for (h, q) in q.chunks_exact(s.dim).enumerate() {
                let g = h / group;
                p[h * s.keys + j] = s.scale * dot(q, &k[g * s.dim..(g + 1) * s.dim]);
            }
        }
    }
}

for_each_isa! {
    /// out[h] = Σ p[h, j] · v[j, group of h]
    fn mix(p: &[f32], v: &[f32], s: &Sizes, out: &mut [f32]) {
        let group = s.heads / s.kv_heads;
        for (j, v) in v.chunks_exact(s.kv_heads * s.dim).enumerate() {
            for (h, out) in out.chunks_exact_mut(s.dim).enumerate() {
                let (p, g) = (p[h * s.keys + j], h / group);
                for (out, v) in out.iter_mut().zip(&v[g * s.dim..(g + 1) * s.dim]) {
                    *out += p * v;
                }
            }
        }
    }
}
