//! Sums on the CPU, in tasks of some thousand elements.

use rayon::prelude::*;

use crate::nn::cpu::{binary, for_each_isa};

/// Elements of a task.
const CHUNK: usize = 1 << 15;

/// `x + y`
pub(super) fn sum(x: &[f32], y: &[f32]) -> Vec<f32> {
    // SAFETY: `sum_part` writes each element.
    unsafe { binary(x, y, sum_part) }
}

/// `x += y`
pub(super) fn add_to(x: &mut [f32], y: &[f32]) {
    x.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).for_each(|(x, y)| add_part(x, y));
}

for_each_isa! {
    fn sum_part(x: &[f32], y: &[f32], out: &mut [f32]) {
        for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
            *out = x + y;
        }
    }
}

for_each_isa! {
    fn add_part(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }
}
