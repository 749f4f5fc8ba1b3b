//! Blocks of queries against all the keys they may see; a task is one block of one head.

mod one_query;

use rayon::prelude::*;

use super::AttentionShape;
use crate::nn::ops::cpu::{Disjoint, Mat, MatMut, Threads, dot, exp, fill, for_each_isa, product_into, sum};

/// Queries in a block.
const BLOCK: usize = 64;
/// Parts backward is cut into at least, however many threads there are: sums over parts must not depend on them.
const PARTS: usize = 8;

/// The axes of an attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) time: usize,
    pub(super) keys: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) dim: usize,
    pub(super) causal: bool,
    pub(super) scale: f32,
}

/// q (batch, time, heads, dim), k and v (batch, keys, kv_heads, dim).
pub(super) struct Values<'a> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
}

type Dims = (usize, usize, usize, usize);

impl Sizes {
    pub(super) fn new((batch, time, heads, dim): Dims, (_, keys, kv_heads, _): Dims, shape: AttentionShape) -> Self {
        Self { batch, time, keys, heads, kv_heads, dim, causal: shape.causal, scale: shape.scale }
    }

    /// How many keys query `t` sees.
    fn seen(&self, t: usize) -> usize {
        if self.causal { t + 1 + self.keys - self.time } else { self.keys }
    }

    fn blocks(&self) -> usize {
        self.time.div_ceil(BLOCK)
    }

    /// Where query `t` of a head begins, and how far apart queries are.
    fn query(&self, b: usize, t: usize, h: usize) -> (usize, usize) {
        (((b * self.time + t) * self.heads + h) * self.dim, self.heads * self.dim)
    }

    /// Where the keys of a head of queries begin, and how far apart they are.
    fn key(&self, b: usize, h: usize) -> (usize, usize) {
        let group = h / (self.heads / self.kv_heads);
        ((b * self.keys * self.kv_heads + group) * self.dim, self.kv_heads * self.dim)
    }
}

/// One block of queries of one head.
#[derive(Clone, Copy)]
struct Block {
    b: usize,
    h: usize,
    /// First query and number of queries.
    t: usize,
    n: usize,
    /// Keys seen by the last of them.
    keys: usize,
}

impl Block {
    fn new(s: &Sizes, b: usize, h: usize, index: usize) -> Self {
        let t = index * BLOCK;
        let n = BLOCK.min(s.time - t);
        Self { b, h, t, n, keys: s.seen(t + n - 1) }
    }

    fn queries<'a>(&self, s: &Sizes, q: &'a [f32]) -> Mat<'a> {
        let (at, row) = s.query(self.b, self.t, self.h);
        Mat::strided(&q[at..], self.n, s.dim, row)
    }

    fn keys<'a>(&self, s: &Sizes, k: &'a [f32]) -> Mat<'a> {
        let (at, row) = s.key(self.b, self.h);
        Mat::strided(&k[at..], self.keys, s.dim, row)
    }
}

/// The output, and the log-sum-exp of the scores of each query (batch, heads, time).
pub(super) fn forward(s: &Sizes, x: &Values<'_>) -> (Vec<f32>, Vec<f32>) {
    if s.time == 1 {
        return one_query::forward(s, x);
    }
    let mut sums = vec![0.0; s.batch * s.heads * s.time];
    let shared = Disjoint::new(&mut sums);
    // SAFETY: each task writes the output and the sums of its own queries and head, and together they cover both.
    let out = unsafe {
        fill(x.q.len(), |out| {
            let out = Disjoint::uninit(out);
            let tasks = (0..s.batch * s.heads * s.blocks()).into_par_iter();
            tasks.for_each_init(Vec::new, |scores, task| {
                let (head, index) = (task / s.blocks(), task % s.blocks());
                let block = Block::new(s, head / s.heads, head % s.heads, index);
                let first = head * s.time + block.t;
                forward_block(s, x, block, scores, &out, shared.part(first..first + block.n));
            });
        })
    };
    (out, sums)
}

/// # Safety
/// No one else may touch the block's part of `out` meanwhile.
unsafe fn forward_block(
    s: &Sizes,
    x: &Values<'_>,
    block: Block,
    scores: &mut Vec<f32>,
    out: &Disjoint<'_>,
    sums: &mut [f32],
) {
    let (at, row) = s.query(block.b, block.t, block.h);
    scores.resize(scores.len().max(block.n * block.keys), 0.0);
    let scores = &mut scores[..block.n * block.keys];
    let (q, k) = (block.queries(s, x.q), block.keys(s, x.k));
    product_into(MatMut::new(scores, block.n, block.keys), q, k.t(), s.scale, false, Threads::One);
    for (i, scores) in scores.chunks_exact_mut(block.keys).enumerate() {
        sums[i] = softmax(scores, s.seen(block.t + i));
    }
    // SAFETY: promised by the caller.
    let o = unsafe { MatMut::within(out, at, (block.n, s.dim), row) };
    let p = Mat::new(scores, block.n, block.keys);
    product_into(o, p, block.keys(s, x.v), 1.0, false, Threads::One);
}

/// dq, dk, dv.
pub(super) fn backward(s: &Sizes, x: &Values<'_>, out: &[f32], sums: &[f32], dy: &[f32]) -> [Vec<f32>; 3] {
    let owners = s.batch * s.kv_heads;
    let parts = PARTS.div_ceil(owners.max(1)).min(s.blocks().max(1));
    let (mut dk, mut dv) = (vec![0.0; parts * x.k.len()], vec![0.0; parts * x.v.len()]);
    let (keys, values) = (Disjoint::new(&mut dk), Disjoint::new(&mut dv));
    // SAFETY: a task owns the keys and values of one head in its own part, and the queries of its blocks.
    let dq = unsafe {
        fill(x.q.len(), |dq| {
            let dq = Disjoint::uninit(dq);
            (0..owners * parts).into_par_iter().for_each_init(Scratch::default, |scratch, task| {
                let (owner, part) = (task / parts, task % parts);
                let (b, group, heads) = (owner / s.kv_heads, owner % s.kv_heads, s.heads / s.kv_heads);
                for h in group * heads..(group + 1) * heads {
                    for index in (part..s.blocks()).step_by(parts) {
                        let block = Block::new(s, b, h, index);
                        let given = Given { x, out, sums, dy };
                        backward_block(s, &given, block, scratch, [&dq, &keys, &values], part * x.k.len());
                    }
                }
            });
        })
    };
    for all in [&mut dk, &mut dv] {
        let (first, rest) = all.split_at_mut(x.k.len());
        for part in rest.chunks_exact(x.k.len().max(1)) {
            for (a, b) in first.iter_mut().zip(part) {
                *a += b;
            }
        }
        all.truncate(x.k.len());
    }
    [dq, dk, dv]
}

struct Given<'a> {
    x: &'a Values<'a>,
    out: &'a [f32],
    sums: &'a [f32],
    dy: &'a [f32],
}

#[derive(Default)]
struct Scratch {
    p: Vec<f32>,
    ds: Vec<f32>,
}

/// # Safety
/// No one else may touch the block's queries in dq, nor the keys and values of its head in the part at `part`.
unsafe fn backward_block(
    s: &Sizes,
    given: &Given<'_>,
    block: Block,
    scratch: &mut Scratch,
    [dq, dk, dv]: [&Disjoint<'_>; 3],
    part: usize,
) {
    let (n, keys) = (block.n, block.keys);
    let size = n * keys;
    for buffer in [&mut scratch.p, &mut scratch.ds] {
        buffer.resize(buffer.len().max(size), 0.0);
    }
    let (p, ds) = (&mut scratch.p[..size], &mut scratch.ds[..size]);
    let (q, k, v) = (block.queries(s, given.x.q), block.keys(s, given.x.k), block.keys(s, given.x.v));
    let dy = block.queries(s, given.dy);
    product_into(MatMut::new(p, n, keys), q, k.t(), s.scale, false, Threads::One);
    product_into(MatMut::new(ds, n, keys), dy, v.t(), 1.0, false, Threads::One);
    for (i, (p, ds)) in p.chunks_exact_mut(keys).zip(ds.chunks_exact_mut(keys)).enumerate() {
        let t = block.t + i;
        let at = s.query(block.b, t, block.h).0;
        let pair = (&given.dy[at..at + s.dim], &given.out[at..at + s.dim]);
        let sum = given.sums[(block.b * s.heads + block.h) * s.time + t];
        softmax_backward(p, ds, s.seen(t), pair, sum, s.scale);
    }
    let (p, ds) = (Mat::new(p, n, keys), Mat::new(ds, n, keys));
    let ((q_at, q_row), (k_at, k_row)) = (s.query(block.b, block.t, block.h), s.key(block.b, block.h));
    // SAFETY: promised by the caller.
    let (dq, dk, dv) = unsafe {
        (
            MatMut::within(dq, q_at, (n, s.dim), q_row),
            MatMut::within(dk, part + k_at, (keys, s.dim), k_row),
            MatMut::within(dv, part + k_at, (keys, s.dim), k_row),
        )
    };
    product_into(dq, ds, k, 1.0, false, Threads::One);
    product_into(dk, ds.t(), q, 1.0, true, Threads::One);
    product_into(dv, p.t(), dy, 1.0, true, Threads::One);
}

for_each_isa! {
    /// Softmax over the first `seen` scores, 0 beyond; gives the log-sum-exp.
    fn softmax(scores: &mut [f32], seen: usize) -> f32 {
        let (scores, beyond) = scores.split_at_mut(seen);
        beyond.fill(0.0);
        let mut lanes = [f32::NEG_INFINITY; 32];
        let (chunks, rest) = scores.as_chunks::<32>();
        for chunk in chunks {
            for i in 0..32 {
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

for_each_isa! {
    /// Turns scores into probabilities and `dP` into `dS`.
    fn softmax_backward(
        p: &mut [f32],
        ds: &mut [f32],
        seen: usize,
        pair: (&[f32], &[f32]),
        sum: f32,
        scale: f32,
    ) {
        let delta = dot(pair.0, pair.1);
        p[seen..].fill(0.0);
        ds[seen..].fill(0.0);
        for (p, ds) in p[..seen].iter_mut().zip(&mut ds[..seen]) {
            *p = exp(*p - sum);
            *ds = *p * (*ds - delta) * scale;
        }
    }
}
