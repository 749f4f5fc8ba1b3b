//! RMSNorm on rows, in tasks of some rows.

use rayon::prelude::*;

use crate::nn::cpu::{Disjoint, dot, fill, for_each_isa};

/// Rows of a task: fixed, so that the sums over rows do not depend on the number of threads.
const ROWS: usize = 64;

/// y, for whole rows of x.
pub(super) fn forward(x: &[f32], w: &[f32], eps: f32) -> Vec<f32> {
    let chunk = ROWS * w.len();
    // SAFETY: the chunks are disjoint and cover the output; every element is written.
    unsafe {
        fill(x.len(), |out| {
            let out = Disjoint::uninit(out);
            x.par_chunks(chunk).enumerate().for_each(|(i, x)| {
                forward_rows(x, w, eps, out.part(i * chunk..i * chunk + x.len()));
            });
        })
    }
}

/// dx and dw.
pub(super) fn backward(x: &[f32], w: &[f32], dy: &[f32], eps: f32) -> (Vec<f32>, Vec<f32>) {
    let chunk = ROWS * w.len();
    let mut partial = vec![0.0; x.len().div_ceil(chunk) * w.len()];
    // SAFETY: as in `forward`.
    let dx = unsafe {
        fill(x.len(), |dx| {
            let dx = Disjoint::uninit(dx);
            let rows = x.par_chunks(chunk).zip(dy.par_chunks(chunk)).zip(partial.par_chunks_mut(w.len()));
            rows.enumerate().for_each(|(i, ((x, dy), dw))| {
                backward_rows((x, w, dy), eps, dx.part(i * chunk..i * chunk + x.len()), dw);
            });
        })
    };
    let mut dw = vec![0.0; w.len()];
    for part in partial.chunks_exact(w.len()) {
        for (dw, part) in dw.iter_mut().zip(part) {
            *dw += part;
        }
    }
    (dx, dw)
}

for_each_isa! {
    /// y, for whole rows of x, on the calling thread.
    pub(in crate::nn::ops) fn forward_rows(x: &[f32], w: &[f32], eps: f32, out: &mut [f32]) {
        for (x, out) in x.chunks_exact(w.len()).zip(out.chunks_exact_mut(w.len())) {
            let r = 1.0 / (dot(x, x) / w.len() as f32 + eps).sqrt();
            for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
                *out = x * r * w;
            }
        }
    }
}

for_each_isa! {
    fn backward_rows(given: (&[f32], &[f32], &[f32]), eps: f32, dx: &mut [f32], dw: &mut [f32]) {
        let (x, w, dy) = given;
        let n = w.len();
        for ((x, dy), dx) in x.chunks_exact(n).zip(dy.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            let r = 1.0 / (dot(x, x) / n as f32 + eps).sqrt();
            for ((g, w), dy) in dx.iter_mut().zip(w).zip(dy) {
                *g = w * dy;
            }
            let pull = r * r * r * dot(dx, x) / n as f32;
            for (((dx, dw), x), dy) in dx.iter_mut().zip(&mut *dw).zip(x).zip(dy) {
                *dw += dy * x * r;
                *dx = *dx * r - x * pull;
            }
        }
    }
}
