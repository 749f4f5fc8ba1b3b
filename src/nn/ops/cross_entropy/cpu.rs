//! Log-sum-exp and the gradient of the softmax, row by row.

use rayon::prelude::*;

use crate::data::IGNORE;
use crate::nn::cpu::{Disjoint, exp, fill, for_each_isa};

fn counted(labels: &[u32]) -> usize {
    labels.iter().filter(|&&label| label != IGNORE).count()
}

/// The mean loss, and the log-sum-exp of each row (0 where the label is ignored).
pub(super) fn forward(logits: &[f32], labels: &[u32]) -> (f32, Vec<f32>) {
    let vocabulary = logits.len() / labels.len().max(1);
    let mut sums = vec![0.0; labels.len()];
    if vocabulary > 0 {
        let rows = logits.par_chunks_exact(vocabulary).zip(labels).zip(&mut sums);
        rows.with_min_len(16).for_each(|((logits, &label), sum)| {
            if label != IGNORE {
                *sum = log_sum_exp(logits);
            }
        });
    }
    let losses = labels.iter().zip(&sums).enumerate().filter(|(_, (label, _))| **label != IGNORE);
    let total: f64 =
        losses.map(|(i, (&label, &sum))| f64::from(sum) - f64::from(logits[i * vocabulary + label as usize])).sum();
    ((total / counted(labels).max(1) as f64) as f32, sums)
}

/// The gradient of `factor ·` the mean loss.
pub(super) fn backward(logits: &[f32], labels: &[u32], sums: &[f32], factor: f32) -> Vec<f32> {
    let vocabulary = (logits.len() / labels.len().max(1)).max(1);
    let factor = factor / counted(labels).max(1) as f32;
    // SAFETY: the rows are disjoint and cover the output; every element is written.
    unsafe {
        fill(logits.len(), |out| {
            let out = Disjoint::uninit(out);
            let rows = logits.par_chunks_exact(vocabulary).zip(labels).zip(sums);
            rows.with_min_len(16).enumerate().for_each(|(i, ((logits, &label), &sum))| {
                let out = out.part(i * vocabulary..(i + 1) * vocabulary);
                if label == IGNORE {
                    out.fill(0.0);
                } else {
                    softmax_times(logits, sum, factor, out);
                    out[label as usize] -= factor;
                }
            });
        })
    }
}

for_each_isa! {
    fn log_sum_exp(logits: &[f32]) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; 32];
        let (chunks, rest) = logits.as_chunks::<32>();
        for chunk in chunks {
            for i in 0..32 {
                lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
            }
        }
        let highest = rest.iter().chain(&lanes).fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let mut sums = [0.0; 32];
        for chunk in chunks {
            for i in 0..32 {
                sums[i] += exp(chunk[i] - highest);
            }
        }
        let rest: f32 = rest.iter().map(|&x| exp(x - highest)).sum();
        highest + (crate::nn::cpu::sum(&sums) + rest).ln()
    }
}

for_each_isa! {
    fn softmax_times(logits: &[f32], sum: f32, factor: f32, out: &mut [f32]) {
        for (out, &x) in out.iter_mut().zip(logits) {
            *out = exp(x - sum) * factor;
        }
    }
}
