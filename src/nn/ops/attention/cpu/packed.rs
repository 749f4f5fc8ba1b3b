//! Attention of packed sequences: each run of sequences of one length is an attention over its part of the tensors.

use rayon::prelude::*;

use super::super::packed::{PackedSequences, SequenceRun};
use super::{AttentionGradients, AttentionInputs, SavedForward, Sizes};

/// The output and log-sum-exps as [`super::forward()`] gives them, the latter run by run.
pub(in super::super) fn forward(packed: &PackedSequences, s: &Sizes, x: &AttentionInputs<'_>) -> (Vec<f32>, Vec<f32>) {
    let parts: Vec<_> = packed.runs().par_iter().map(|run| super::forward(&run.sizes(s), &run.values(s, x))).collect();
    let (out, sums): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    (out.concat(), sums.concat())
}

/// The gradients as [`super::backward()`] gives them.
pub(in super::super) fn backward(
    packed: &PackedSequences,
    s: &Sizes,
    x: &AttentionInputs<'_>,
    known: &SavedForward<'_>,
) -> AttentionGradients {
    let runs = packed.runs();
    let parts: Vec<AttentionGradients> =
        runs.par_iter().map(|run| super::backward(&run.sizes(s), &run.values(s, x), &run.known(s, known))).collect();
    let mut all = AttentionGradients {
        q: Vec::with_capacity(x.q.len()),
        k: Vec::with_capacity(x.k.len()),
        v: Vec::with_capacity(x.v.len()),
        bias: x.bias.map(|bias| vec![0.0; bias.len()]),
        relative: x.relative.map(|vectors| vec![0.0; vectors.len()]),
    };
    for (run, part) in runs.iter().zip(parts) {
        all.q.extend(part.q);
        all.k.extend(part.k);
        all.v.extend(part.v);
        let own = s.dim * x.relative_heads(s);
        for (all, part, width) in [(&mut all.bias, part.bias, s.heads), (&mut all.relative, part.relative, own)] {
            if let (Some(all), Some(part)) = (all, part) {
                let at = (s.time - run.length) * width;
                all[at..at + part.len()].iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
        }
    }
    all
}

impl SequenceRun {
    fn sizes(&self, s: &Sizes) -> Sizes {
        Sizes { batch: self.count, time: self.length, keys: self.length, ..*s }
    }

    fn values<'a>(&self, s: &Sizes, x: &AttentionInputs<'a>) -> AttentionInputs<'a> {
        // The distances of a shorter sequence are in the middle of those of a row.
        let middle = |width: usize| (s.time - self.length) * width..(s.time + self.length - 1) * width;
        let own = s.dim * x.relative_heads(s);
        AttentionInputs {
            q: self.part(x.q, s.heads * s.dim),
            k: self.part(x.k, s.kv_heads * s.dim),
            v: self.part(x.v, s.kv_heads * s.dim),
            bias: x.bias.map(|bias| &bias[middle(s.heads)]),
            relative: x.relative.map(|vectors| &vectors[middle(own)]),
            visible: None,
        }
    }

    fn known<'a>(&self, s: &Sizes, known: &SavedForward<'a>) -> SavedForward<'a> {
        let width = s.heads * s.dim;
        SavedForward {
            out: self.part(known.out, width),
            sums: self.part(known.sums, s.heads),
            dy: self.part(known.dy, width),
        }
    }

    /// Its part of a tensor with `width` values for each position.
    fn part<'a>(&self, values: &'a [f32], width: usize) -> &'a [f32] {
        let places = self.places();
        &values[places.start * width..places.end * width]
    }
}
