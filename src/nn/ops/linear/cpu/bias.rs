//! The bias of a linear layer: added to each row; its gradient is the sum over rows.

use rayon::prelude::*;

use crate::nn::cpu::for_each_isa;

/// Rows of a task: fixed, so that the sums do not depend on the number of threads.
const ROWS: usize = 64;

/// `y += b`: y (rows, out), b (out).
pub(in crate::nn::ops::linear) fn add_bias(y: &mut [f32], b: &[f32]) {
    if !b.is_empty() {
        y.par_chunks_mut(ROWS * b.len()).for_each(|y| add_to_rows(y, b));
    }
}

/// The sum of the rows of dy (rows, out) -> (out).
pub(in crate::nn::ops::linear) fn bias_gradient(dy: &[f32], out: usize) -> Vec<f32> {
    if out == 0 {
        return Vec::new();
    }
    let parts: Vec<Vec<f32>> = dy.par_chunks(ROWS * out).map(|dy| sum_of_rows(dy, out)).collect();
    let mut sum = vec![0.0; out];
    for part in parts {
        add_to_rows(&mut sum, &part);
    }
    sum
}

for_each_isa! {
    fn add_to_rows(y: &mut [f32], b: &[f32]) {
        for y in y.chunks_exact_mut(b.len()) {
            for (y, b) in y.iter_mut().zip(b) {
                *y += b;
            }
        }
    }
}

for_each_isa! {
    fn sum_of_rows(dy: &[f32], out: usize) -> Vec<f32> {
        let mut sum = vec![0.0; out];
        for dy in dy.chunks_exact(out) {
            for (sum, dy) in sum.iter_mut().zip(dy) {
                *sum += dy;
            }
        }
        sum
    }
}
