//! Attention of one query for each head of a group, over the cached keys and values of one head.

use std::cell::RefCell;

use super::kernels::{Number, kernels};
use super::pack::Scratch;
use super::single_query::{mix, softmax, weigh};
use crate::nn::ops::kv_buffer::KvHead;

thread_local! {
    /// Memory for the scores of a call.
    static SCORES: RefCell<Scratch> = RefCell::default();
}

/// Keys that the heads of a group use one after the other, while they are in the first-level cache.
const TILE: usize = 64;

/// `softmax(scale · q Kᵀ) V`: q (group, dim), keys and values (len, dim) -> out (group, dim).
pub(in crate::nn::ops) fn cached_attention(
    q: &[f32],
    keys: KvHead<'_>,
    values: KvHead<'_>,
    dim: usize,
    scale: f32,
    out: &mut [f32],
) {
    SCORES.with_borrow_mut(|p| {
        let len = keys.count(dim);
        let p = p.slice(q.len() / dim * len); // (group, len)
        match keys {
            KvHead::F32(k) => scores(q, k, dim, p),
            KvHead::Bf16(k) => scores(q, k, dim, p),
            KvHead::Int8(k, scales) => {
                scores(q, k, dim, p);
                p.chunks_exact_mut(len).for_each(|p| scaled(p, scales));
            }
        }
        p.chunks_exact_mut(len).for_each(|p| _ = softmax(p, scale));
        match values {
            KvHead::F32(v) => mixture(p, v, dim, out),
            KvHead::Bf16(v) => mixture(p, v, dim, out),
            KvHead::Int8(v, scales) => {
                p.chunks_exact_mut(len).for_each(|p| scaled(p, scales));
                mixture(p, v, dim, out);
            }
        }
    });
}

fn scaled(p: &mut [f32], scales: &[f32]) {
    p.iter_mut().zip(scales).for_each(|(p, scale)| *p *= scale);
}

/// The first key and the number of keys of each tile.
fn tiles(len: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..len).step_by(TILE).map(move |at| (at, TILE.min(len - at)))
}

/// `q Kᵀ`: q (group, dim), k (len, dim) -> p (group, len)
fn scores<T: Number>(q: &[f32], k: &[T], dim: usize, p: &mut [f32]) {
    let (len, kernels) = (k.len() / dim, kernels());
    for (at, n) in tiles(len) {
        for (q, p) in q.chunks_exact(dim).zip(p.chunks_exact_mut(len)) {
            weigh(kernels, q, &k[at * dim..(at + n) * dim], dim, &mut p[at..at + n]);
        }
    }
}

/// `p V`: p (group, len), v (len, dim) -> out (group, dim)
fn mixture<T: Number>(p: &[f32], v: &[T], dim: usize, out: &mut [f32]) {
    let (len, kernels) = (v.len() / dim, kernels());
    out.fill(0.0);
    for (at, n) in tiles(len) {
        mix(kernels, (&p[at..], len), n, (&v[at * dim..(at + n) * dim], dim), dim, out);
    }
}
