//! Layer normalisation on rows, in tasks of some rows.

use rayon::prelude::*;

use crate::nn::cpu::{Disjoint, dot, fill, for_each_isa, sum};

/// Rows of a task: fixed, so that the sums over rows do not depend on the number of threads.
const ROWS: usize = 64;

/// y, for whole rows of x.
pub(super) fn forward(x: &[f32], w: &[f32], b: Option<&[f32]>, eps: f32) -> Vec<f32> {
    let chunk = ROWS * w.len();
    // SAFETY: the chunks are disjoint and cover the output; every element is written.
    unsafe {
        fill(x.len(), |out| {
            let out = Disjoint::uninit(out);
            x.par_chunks(chunk).enumerate().for_each(|(i, x)| {
                forward_rows(x, w, b, eps, out.part(i * chunk..i * chunk + x.len()));
            });
        })
    }
}

/// dx, dw and db.
pub(super) fn backward(x: &[f32], w: &[f32], dy: &[f32], eps: f32) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (n, chunk) = (w.len(), ROWS * w.len());
    let mut partial = vec![0.0; x.len().div_ceil(chunk) * 2 * n]; // (tasks, dw and db, hidden)
    // SAFETY: as in `forward`.
    let dx = unsafe {
        fill(x.len(), |dx| {
            let dx = Disjoint::uninit(dx);
            let rows = x.par_chunks(chunk).zip(dy.par_chunks(chunk)).zip(partial.par_chunks_mut(2 * n));
            rows.enumerate().for_each(|(i, ((x, dy), sums))| {
                backward_rows((x, w, dy), eps, dx.part(i * chunk..i * chunk + x.len()), sums);
            });
        })
    };
    let mut sums = vec![0.0; 2 * n];
    for part in partial.chunks_exact(2 * n) {
        for (sum, part) in sums.iter_mut().zip(part) {
            *sum += part;
        }
    }
    let db = sums.split_off(n);
    (dx, sums, db)
}

for_each_isa! {
    fn forward_rows(x: &[f32], w: &[f32], b: Option<&[f32]>, eps: f32, out: &mut [f32]) {
        let n = w.len();
        for (x, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            let mean = sum(x) / n as f32;
            for (out, x) in out.iter_mut().zip(x) {
                *out = x - mean;
            }
            let r = 1.0 / (dot(out, out) / n as f32 + eps).sqrt();
            match b {
                None => {
                    for (out, w) in out.iter_mut().zip(w) {
                        *out = *out * r * w;
                    }
                }
                Some(b) => {
                    for ((out, w), b) in out.iter_mut().zip(w).zip(b) {
                        *out = *out * r * w + b;
                    }
                }
            }
        }
    }
}

for_each_isa! {
    /// `sums` holds dw, then db.
    fn backward_rows(given: (&[f32], &[f32], &[f32]), eps: f32, dx: &mut [f32], sums: &mut [f32]) {
        let (x, w, dy) = given;
        let n = w.len();
        let (dw, db) = sums.split_at_mut(n);
        let mut normal = vec![0.0; n];
        for ((x, dy), dx) in x.chunks_exact(n).zip(dy.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            let mean = sum(x) / n as f32;
            for (normal, x) in normal.iter_mut().zip(x) {
                *normal = x - mean;
            }
            let r = 1.0 / (dot(&normal, &normal) / n as f32 + eps).sqrt();
            // One output a loop: the compiler cannot prove that more of them do not alias.
            for normal in &mut normal {
                *normal *= r;
            }
            for ((g, w), dy) in dx.iter_mut().zip(w).zip(dy) {
                *g = w * dy;
            }
            for ((dw, normal), dy) in dw.iter_mut().zip(&normal).zip(dy) {
                *dw += dy * normal;
            }
            for (db, dy) in db.iter_mut().zip(dy) {
                *db += dy;
            }
            let (shift, pull) = (sum(dx) / n as f32, dot(dx, &normal) / n as f32);
            for (dx, normal) in dx.iter_mut().zip(&normal) {
                *dx = r * (*dx - shift - normal * pull);
            }
        }
    }
}
