//! The gradients of attention: a task holds the keys and values of its head and accumulates their gradients there.

use rayon::prelude::*;

use super::block::{KEYS, QueryBlock, Sizes, Strip};
use super::kernels::{CpuKernels, GROUP, LaneProduct, Left, WIDE, kernels};
use super::pack::{Scratch, transpose_back};
use super::relative::{self, Relative};
use super::{AttentionInputs, HeadTask, LOG2_E, bias_length};
use crate::nn::cpu::{Disjoint, dot, fill, for_each_isa};

/// The results of forward that backward needs: the output, log₂ Σ 2^score (batch, heads, time), and the gradient of the
/// output.
#[derive(Clone, Copy)]
pub(in super::super) struct SavedForward<'a> {
    pub(in super::super) out: &'a [f32],
    pub(in super::super) sums: &'a [f32],
    pub(in super::super) dy: &'a [f32],
}

/// The gradients of queries, keys and values, and of the bias and the relative vectors if there are any.
pub(in super::super) struct AttentionGradients {
    pub(in super::super) q: Vec<f32>,
    pub(in super::super) k: Vec<f32>,
    pub(in super::super) v: Vec<f32>,
    pub(in super::super) bias: Option<Vec<f32>>,
    pub(in super::super) relative: Option<Vec<f32>>,
}

/// The output of tasks. Keys, values and bias have a copy for each part; the parts are summed at the end.
struct Results<'a> {
    q: Disjoint<'a>,
    k: Disjoint<'a>,
    v: Disjoint<'a>,
    bias: Disjoint<'a>,
    relative: Disjoint<'a>,
}

pub(in super::super) fn backward(s: &Sizes, x: &AttentionInputs<'_>, known: &SavedForward<'_>) -> AttentionGradients {
    let parts = HeadTask::parts(s);
    let (mut k, mut v) = (vec![0.0; parts * x.k.len()], vec![0.0; parts * x.v.len()]);
    let mut bias = vec![0.0; x.bias.map_or(0, |_| s.batch * parts * s.heads * s.distances())];
    let mut relative = vec![0.0; x.relative.map_or(0, |_| s.batch * parts * s.heads * s.distances() * s.dim)];
    if x.q.is_empty() {
        let zeros = |of: Option<&[f32]>| of.map(|of| vec![0.0; of.len()]);
        return AttentionGradients { q: Vec::new(), k, v, bias: zeros(x.bias), relative: zeros(x.relative) };
    }
    let (all_k, all_v) = (Disjoint::new(&mut k), Disjoint::new(&mut v));
    let (all_bias, all_relative) = (Disjoint::new(&mut bias), Disjoint::new(&mut relative));
    // SAFETY: a task owns its queries, and the keys, values and bias of its heads in its own part.
    let q = unsafe {
        fill(x.q.len(), |q| {
            let results =
                Results { q: Disjoint::uninit(q), k: all_k, v: all_v, bias: all_bias, relative: all_relative };
            let tasks = (0..HeadTask::count(s)).into_par_iter();
            tasks.for_each_init(BackwardScratch::default, |scratch, task| {
                backward_task(s, x, known, HeadTask::new(s, task), scratch, &results);
            });
        })
    };
    fold(&mut k, x.k.len());
    fold(&mut v, x.v.len());
    fold(&mut bias, s.heads * s.distances()); // (heads, distances)
    let bias = x.bias.map(|_| {
        let by_distance = (0..s.distances()).flat_map(|i| (0..s.heads).map(move |h| (h, i)));
        by_distance.map(|(h, i)| bias[h * s.distances() + i]).collect()
    });
    fold(&mut relative, s.heads * s.distances() * s.dim); // (heads, distances, dim)
    let relative = x.relative.map(|_| by_distance(&relative, s, x.relative_heads(s)));
    AttentionGradients { q, k, v, bias, relative }
}

/// (heads, distances, dim) -> (distances, `own`, dim), summed over heads that share vectors.
fn by_distance(relative: &[f32], s: &Sizes, own: usize) -> Vec<f32> {
    let mut out = vec![0.0; s.distances() * own * s.dim];
    for (h, head) in relative.chunks_exact((s.distances() * s.dim).max(1)).enumerate() {
        for (i, row) in head.chunks_exact(s.dim).enumerate() {
            for (sum, x) in out[(i * own + h % own) * s.dim..].iter_mut().zip(row) {
                *sum += x;
            }
        }
    }
    out
}

/// Adds all parts of `len` values to the first.
fn fold(parts: &mut Vec<f32>, len: usize) {
    if parts.len() <= len {
        return;
    }
    let (first, rest) = parts.split_at_mut(len);
    for part in rest.chunks_exact(len) {
        for (sum, x) in first.iter_mut().zip(part) {
            *sum += x;
        }
    }
    parts.truncate(len);
    parts.shrink_to_fit();
}

#[derive(Default)]
struct BackwardScratch {
    k: Scratch,
    v: Scratch,
    dk: Scratch,
    dv: Scratch,
    bias: Scratch,
    dbias: Scratch,
    relative: Scratch,
    drelative: Scratch,
    straight: Scratch,
    transposed_q: Scratch,
    q: Scratch,
    transposed_dy: Scratch,
    dy: Scratch,
    dq: Scratch,
    p: Scratch,
    ds: Scratch,
}

/// # Safety
/// No one else may touch the task's part of the results meanwhile.
unsafe fn backward_task(
    s: &Sizes,
    x: &AttentionInputs<'_>,
    known: &SavedForward<'_>,
    task: HeadTask,
    scratch: &mut BackwardScratch,
    results: &Results<'_>,
) {
    let visible = x.visible(s, task.b);
    let head = (task.b, task.kv);
    let padded = s.dim.next_multiple_of(GROUP);
    let (k, v) = (scratch.k.slice(visible.len() * s.dim), scratch.v.slice(visible.len() * s.dim));
    let (keys, values) = (s.keys(x.k, head, &visible), s.keys(x.v, head, &visible));
    keys.copy(s.dim, 1.0, k);
    values.copy(s.dim, 1.0, v);
    let (dk, dv) = (scratch.dk.zeros(visible.len() * padded), scratch.dv.zeros(visible.len() * padded));
    for h in task.heads(s) {
        let bias = x.reversed_bias(s, h, &mut scratch.bias);
        let dbias = scratch.dbias.zeros(if bias.is_some() { bias_length(s) } else { 0 });
        let vectors = relative::reversed(x, s, h, &mut scratch.relative);
        let drelative = scratch.drelative.zeros(if vectors.is_some() { relative::length(s) * padded } else { 0 });
        for index in task.blocks(s) {
            let block = QueryBlock::new(s, index, &visible);
            let queries = s.queries(x.q, (task.b, h), block.t, block.n);
            let (transposed_q, q) = (scratch.transposed_q.slice(s.dim * WIDE), scratch.q.slice(padded * WIDE));
            queries.transpose(s.scale * LOG2_E, transposed_q);
            queries.copy(padded, s.scale, q);
            let dys = s.queries(known.dy, (task.b, h), block.t, block.n);
            let (transposed_dy, dy) = (scratch.transposed_dy.slice(s.dim * WIDE), scratch.dy.slice(padded * WIDE));
            dys.transpose(1.0, transposed_dy);
            dys.copy(padded, 1.0, dy);
            let (mut sums, mut deltas) = ([0.0; WIDE], [0.0; WIDE]);
            let first = (task.b * s.heads + h) * s.time + block.t;
            sums[..block.n].copy_from_slice(&known.sums[first..first + block.n]);
            let outs = s.queries(known.out, (task.b, h), block.t, block.n);
            for ((delta, out), dy) in deltas.iter_mut().zip(outs.iter()).zip(dys.iter()) {
                *delta = inner(out, dy);
            }
            let given = BackwardInputs {
                dim: s.dim,
                origin: visible.start,
                k,
                v,
                transposed_q,
                q,
                transposed_dy,
                dy,
                sums: &sums,
                deltas: &deltas,
                bias: bias.map(|bias| (bias, block.bias_at(s))),
                relative: vectors.map(|vectors| Relative { vectors, at: block.bias_at(s), kernels: kernels() }),
                kernels: kernels(),
            };
            let dq = scratch.dq.zeros(s.dim * WIDE);
            let scores = (scratch.p.slice(KEYS * WIDE), scratch.ds.slice(KEYS * WIDE));
            let straight = scratch.straight.slice(relative::ROWS * WIDE);
            given.block(&block, scores, straight, BlockSums { dq, dk, dv, dbias, drelative });
            for lane in 0..block.n {
                let at = queries.at + lane * queries.step;
                // SAFETY: promised by the caller; every element is written.
                transpose_back(dq, lane, s.scale, unsafe { results.q.part(at..at + s.dim) });
            }
        }
        if vectors.is_some() && s.dim > 0 {
            let len = s.distances() * s.dim;
            let at = ((task.b * task.parts + task.part) * s.heads + h) * len;
            // SAFETY: promised by the caller.
            let out = unsafe { results.relative.part(at..at + len) };
            let rows = drelative.chunks_exact(padded).take(s.distances()).rev();
            for (out, row) in out.chunks_exact_mut(s.dim).zip(rows) {
                out.copy_from_slice(&row[..s.dim]);
            }
        }
        if bias.is_some() {
            let at = ((task.b * task.parts + task.part) * s.heads + h) * s.distances();
            // SAFETY: promised by the caller.
            let out = unsafe { results.bias.part(at..at + s.distances()) };
            for (out, x) in out.iter_mut().zip(dbias[..s.distances()].iter().rev()) {
                *out = *x;
            }
        }
    }
    for (all, to, from, len) in [(&results.k, &keys, dk, x.k.len()), (&results.v, &values, dv, x.v.len())] {
        for (i, row) in from.chunks_exact(padded).enumerate() {
            let at = task.part * len + to.at + i * to.step;
            // SAFETY: promised by the caller.
            unsafe { all.part(at..at + s.dim) }.copy_from_slice(&row[..s.dim]);
        }
    }
}

for_each_isa! {
    fn inner(a: &[f32], b: &[f32]) -> f32 {
        dot(a, b)
    }
}

/// The inputs of a block of queries. Of queries and the gradients of their outputs there are two copies: (dim, WIDE),
/// and (WIDE, padded dim).
struct BackwardInputs<'a> {
    dim: usize,
    /// The first visible key.
    origin: usize,
    k: &'a [f32],
    v: &'a [f32],
    /// Transposed and scaled to powers of two.
    transposed_q: &'a [f32],
    /// Scaled.
    q: &'a [f32],
    transposed_dy: &'a [f32],
    dy: &'a [f32],
    sums: &'a [f32; WIDE],
    deltas: &'a [f32; WIDE],
    bias: Option<(&'a [f32], usize)>,
    relative: Option<Relative<'a>>,
    kernels: &'static CpuKernels,
}

/// The sums of a block: dq (dim, WIDE), to be scaled afterwards, dk and dv (visible keys, padded dim).
struct BlockSums<'a> {
    dq: &'a mut [f32],
    dk: &'a mut [f32],
    dv: &'a mut [f32],
    dbias: &'a mut [f32],
    drelative: &'a mut [f32],
}

impl BackwardInputs<'_> {
    fn block(&self, block: &QueryBlock, (p, ds): (&mut [f32], &mut [f32]), straight: &mut [f32], sums: BlockSums<'_>) {
        for strip in block.keys.clone().step_by(KEYS).flat_map(|first| block.strips(first)) {
            self.scores(&strip, self.k, self.transposed_q, p);
            if let Some(relative) = self.relative {
                relative.add_scores(&strip, (self.transposed_q, self.dim), straight, p);
            }
            if let Some(how) = strip.adjust(self.bias) {
                (self.kernels.adjust)(&mut p[strip.span()], strip.groups, how);
            }
            self.scores(&strip, self.v, self.transposed_dy, ds);
            let (probabilities, slopes) = (&mut p[strip.span()], &mut ds[strip.span()]);
            (self.kernels.harden)(probabilities, slopes, strip.groups, self.sums, self.deltas);
            if let Some((_, at)) = self.bias {
                (self.kernels.diagonals)(slopes, strip.groups, sums.dbias, at - strip.keys.start);
            }
            if let Some(relative) = self.relative {
                let (q, found) = ((self.q, self.dim, block.n), (&mut *sums.dq, &mut *sums.drelative));
                relative.add_gradients(&strip, q, ds, straight, found);
            }
            (self.kernels.f32.product)(LaneProduct {
                rows: self.dim,
                depth: strip.keys.len(),
                groups: strip.width(),
                a: Left { data: &self.k[self.at(&strip)..], row: 1, col: self.dim },
                b: &ds[strip.start()..],
                b_row: WIDE,
                out: &mut sums.dq[strip.lane()..],
                out_row: WIDE,
                add: true,
            });
            self.keys(block, &strip, p, self.dy, sums.dv);
            self.keys(block, &strip, ds, self.q, sums.dk);
        }
    }

    /// The offset of the keys of a strip.
    fn at(&self, strip: &Strip) -> usize {
        (strip.keys.start - self.origin) * self.dim
    }

    /// `out = keys · lanes`
    fn scores(&self, strip: &Strip, keys: &[f32], lanes: &[f32], out: &mut [f32]) {
        (self.kernels.f32.product)(LaneProduct {
            rows: strip.keys.len(),
            depth: self.dim,
            groups: strip.width(),
            a: Left { data: &keys[self.at(strip)..], row: self.dim, col: 1 },
            b: &lanes[strip.lane()..],
            b_row: WIDE,
            out: &mut out[strip.start()..],
            out_row: WIDE,
            add: false,
        });
    }

    /// Adds `scores · rows` to the keys of a strip.
    fn keys(&self, block: &QueryBlock, strip: &Strip, scores: &[f32], rows: &[f32], out: &mut [f32]) {
        let padded = self.dim.next_multiple_of(GROUP);
        (self.kernels.f32.product)(LaneProduct {
            rows: strip.keys.len(),
            depth: block.n - strip.lane(),
            groups: padded / GROUP,
            a: Left { data: &scores[strip.start()..], row: WIDE, col: 1 },
            b: &rows[strip.lane() * padded..],
            b_row: padded,
            out: &mut out[(strip.keys.start - self.origin) * padded..],
            out_row: padded,
            add: true,
        });
    }
}
