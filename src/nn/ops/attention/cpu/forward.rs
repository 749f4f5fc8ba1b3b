//! The forward pass of attention on the CPU.

use rayon::prelude::*;

use super::block::{KEYS, QueryBlock, Sizes, Strip};
use super::kernels::{CpuKernels, LaneProduct, Left, WIDE, kernels};
use super::pack::{Scratch, transpose_back};
use super::relative::{self, Relative};
use super::{AttentionInputs, HeadTask, LOG2_E, single_query};
use crate::nn::cpu::{Disjoint, fill};

/// The initial maximum of a running softmax: below any score, but not −∞, since hidden keys must count as 0.
const LOWEST: f32 = -1e30;

/// The output, and log₂ Σ 2^score of each query (batch, heads, time), +∞ for those that see no key.
pub(in super::super) fn forward(s: &Sizes, x: &AttentionInputs<'_>) -> (Vec<f32>, Vec<f32>) {
    let all_see = x.visible.is_none_or(|rows| rows.iter().all(|row| !row.is_empty()));
    // The bias of one query is added before its scores are scaled.
    if s.time == 1 && all_see && (x.bias.is_none() || s.scale != 0.0) {
        return single_query::forward(s, x);
    }
    let mut sums = vec![0.0; s.batch * s.heads * s.time];
    if x.q.is_empty() {
        return (Vec::new(), sums);
    }
    let all = Disjoint::new(&mut sums);
    // SAFETY: each task writes the output and the sums of its own queries and heads, and together they cover both.
    let out = unsafe {
        fill(x.q.len(), |out| {
            let out = Disjoint::uninit(out);
            let tasks = (0..HeadTask::count(s)).into_par_iter();
            tasks.for_each_init(ForwardScratch::default, |scratch, task| {
                forward_task(s, x, HeadTask::new(s, task), scratch, &out, &all)
            });
        })
    };
    (out, sums)
}

#[derive(Default)]
struct ForwardScratch {
    k: Scratch,
    v: Scratch,
    bias: Scratch,
    relative: Scratch,
    straight: Scratch,
    q: Scratch,
    scores: Scratch,
    out: Scratch,
}

/// # Safety
/// No one else may touch the task's part of `out` and `sums` meanwhile.
unsafe fn forward_task(
    s: &Sizes,
    x: &AttentionInputs<'_>,
    task: HeadTask,
    scratch: &mut ForwardScratch,
    out: &Disjoint<'_>,
    sums: &Disjoint<'_>,
) {
    let visible = x.visible(s, task.b);
    let head = (task.b, task.kv);
    let (k, v) = (scratch.k.slice(visible.len() * s.dim), scratch.v.slice(visible.len() * s.dim));
    s.keys(x.k, head, &visible).copy(s.dim, 1.0, k);
    s.keys(x.v, head, &visible).copy(s.dim, 1.0, v);
    for h in task.heads(s) {
        let bias = x.reversed_bias(s, h, &mut scratch.bias);
        let vectors = relative::reversed(x, s, h, &mut scratch.relative);
        for index in task.blocks(s) {
            let block = QueryBlock::new(s, index, &visible);
            let q = scratch.q.slice(s.dim * WIDE);
            s.queries(x.q, (task.b, h), block.t, block.n).transpose(s.scale * LOG2_E, q);
            let given = ForwardInputs {
                dim: s.dim,
                k,
                v,
                q,
                bias: bias.map(|bias| (bias, block.bias_at(s))),
                relative: vectors.map(|vectors| Relative { vectors, at: block.bias_at(s), kernels: kernels() }),
                kernels: kernels(),
            };
            let o = scratch.out.zeros(s.dim * WIDE);
            let scores = (scratch.scores.slice(KEYS * WIDE), scratch.straight.slice(relative::ROWS * WIDE));
            let soft = given.block(&block, scores, o);
            let first = (task.b * s.heads + h) * s.time + block.t;
            // SAFETY: promised by the caller.
            let sums = unsafe { sums.part(first..first + block.n) };
            for (lane, sum) in sums.iter_mut().enumerate() {
                let rows = s.queries(x.q, (task.b, h), block.t + lane, 1);
                // SAFETY: promised by the caller; every element is written.
                let row = unsafe { out.part(rows.at..rows.at + s.dim) };
                let seen = soft.sums[lane] != 0.0; // NaN is seen
                transpose_back(o, lane, if seen { 1.0 / soft.sums[lane] } else { 0.0 }, row);
                *sum = if seen { soft.highest[lane] + soft.sums[lane].log2() } else { f32::INFINITY };
            }
        }
    }
}

/// The inputs of a block of queries: keys and values (visible keys, dim), queries (dim, WIDE) scaled to powers of two.
struct ForwardInputs<'a> {
    dim: usize,
    k: &'a [f32],
    v: &'a [f32],
    q: &'a [f32],
    bias: Option<(&'a [f32], usize)>,
    relative: Option<Relative<'a>>,
    kernels: &'static CpuKernels,
}

/// The running softmax, a query a lane.
struct Soft {
    highest: [f32; WIDE],
    sums: [f32; WIDE],
}

impl ForwardInputs<'_> {
    /// Accumulates `out` (dim, WIDE), which is divided by the sums afterwards.
    fn block(&self, block: &QueryBlock, (scores, straight): (&mut [f32], &mut [f32]), out: &mut [f32]) -> Soft {
        let mut soft = Soft { highest: [LOWEST; WIDE], sums: [0.0; WIDE] };
        for first in block.keys.clone().step_by(KEYS) {
            let mut highest = soft.highest;
            for strip in block.strips(first) {
                self.scores(&strip, block.keys.start, scores, straight);
                (self.kernels.highest)(&scores[strip.span()], strip.groups, &mut highest);
            }
            (self.kernels.rescale)(&soft.highest, &highest, &mut soft.sums, out, block.groups());
            soft.highest = highest;
            for strip in block.strips(first) {
                (self.kernels.soften)(&mut scores[strip.span()], strip.groups, &highest, &mut soft.sums);
                (self.kernels.f32.product)(LaneProduct {
                    rows: self.dim,
                    depth: strip.keys.len(),
                    groups: strip.width(),
                    a: Left {
                        data: &self.v[(strip.keys.start - block.keys.start) * self.dim..],
                        row: 1,
                        col: self.dim,
                    },
                    b: &scores[strip.start()..],
                    b_row: WIDE,
                    out: &mut out[strip.lane()..],
                    out_row: WIDE,
                    add: true,
                });
            }
        }
        soft
    }

    fn scores(&self, strip: &Strip, origin: usize, scores: &mut [f32], straight: &mut [f32]) {
        (self.kernels.f32.product)(LaneProduct {
            rows: strip.keys.len(),
            depth: self.dim,
            groups: strip.width(),
            a: Left { data: &self.k[(strip.keys.start - origin) * self.dim..], row: self.dim, col: 1 },
            b: &self.q[strip.lane()..],
            b_row: WIDE,
            out: &mut scores[strip.start()..],
            out_row: WIDE,
            add: false,
        });
        if let Some(relative) = self.relative {
            relative.add_scores(strip, (self.q, self.dim), straight, scores);
        }
        if let Some(how) = strip.adjust(self.bias) {
            (self.kernels.adjust)(&mut scores[strip.span()], strip.groups, how);
        }
    }
}
