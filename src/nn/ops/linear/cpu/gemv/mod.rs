//! `x Wᵀ` for few rows and a 4-bit weight, as in decoding: each weight is dequantised once and used for all rows while
//! it is in a register (AVX-512), or dequantised a row at a time into memory that stays in the first-level cache.
//! Always in f32; half precision decodes with `prepacked`.

use rayon::prelude::*;

use crate::nn::cpu::{Fetch, dot, for_each_isa};
use crate::nn::quant::Nf4;

/// Weights below which another thread is not worth waking.
const SERIAL: usize = 1 << 17;
/// Weights of a task.
const TASK: usize = 1 << 17;

/// The left operand of a product with 4-bit weights, laid out once for all weights of the same width.
pub(in crate::nn::ops) struct GemvInput<'a> {
    x: &'a [f32],
    rows: usize,
    packed: Option<x86::GemvRows>,
}

impl<'a> GemvInput<'a> {
    /// x (rows, in)
    pub(in crate::nn::ops) fn new(x: &'a [f32], rows: usize, wide: usize) -> Self {
        assert_eq!(x.len(), rows * wide, "rows of a product");
        let packed = if wide > 0 { x86::GemvRows::new(x, rows, wide) } else { None };
        Self { x, rows, packed }
    }

    /// The outputs from `first` on: y (outputs, rows). With many rows `fetch` prefetches in [`steps`] steps.
    pub(in crate::nn::ops) fn outputs(&self, w: &Nf4, first: usize, y: &mut [f32], fetch: &mut Fetch<'_>) {
        match &self.packed {
            Some(x) => x.outputs(w, first, y, fetch),
            None => outputs(self.x, self.rows, w, first, y),
        }
    }
}

/// The number of prefetch steps for a number of outputs of a width: one for two outputs and each block.
pub(in crate::nn::ops) fn steps(outputs: usize, wide: usize) -> usize {
    outputs.div_ceil(2) * (wide / Nf4::BLOCK)
}

/// x (rows, in), w (out, in) -> (rows, out)
pub(super) fn product(x: &[f32], rows: usize, w: &Nf4) -> Vec<f32> {
    let (out, wide) = w.shape;
    if rows == 0 || out == 0 {
        return Vec::new();
    }
    let mut y = vec![0.0; out * rows]; // (out, rows): a task writes one piece
    let x = GemvInput::new(x, rows, wide);
    if out * wide <= SERIAL {
        x.outputs(w, 0, &mut y, &mut Fetch::nothing());
    } else {
        let step = TASK.div_ceil(wide).next_multiple_of(2);
        y.par_chunks_mut(step * rows).enumerate().for_each(|(i, y)| x.outputs(w, i * step, y, &mut Fetch::nothing()));
    }
    if rows == 1 { y } else { super::transposed(&y, out, rows) }
}

/// The outputs from `first` on, one dequantised row after the other.
fn outputs(x: &[f32], rows: usize, w: &Nf4, first: usize, y: &mut [f32]) {
    let wide = w.shape.1;
    let mut weights = vec![0.0; wide];
    for (o, y) in (first..).zip(y.chunks_exact_mut(rows)) {
        w.dequantize_here(o * wide, &mut weights);
        dots(&weights, x, y);
    }
}

for_each_isa! {
    /// One output for all rows: y[i] = weights · x[i]
    pub(in crate::nn::ops) fn dots(weights: &[f32], x: &[f32], y: &mut [f32]) {
        for (i, y) in y.iter_mut().enumerate() {
            *y = dot(weights, &x[i * weights.len()..(i + 1) * weights.len()]);
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod x86 {
    use crate::nn::quant::Nf4;

    pub(super) struct GemvRows;

    impl GemvRows {
        pub(super) fn new(_: &[f32], _: usize, _: usize) -> Option<Self> {
            None
        }

        pub(super) fn outputs(&self, _: &Nf4, _: usize, _: &mut [f32], _: &mut super::Fetch<'_>) {}
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::reference::{exact_dot, random, values};

    #[test]
    fn every_path_gives_the_same_product() {
        for (out, wide) in [(1, 64), (3, 7), (33, 320), (70, 100), (500, 448), (2, 1)] {
            let w = Nf4::quantize(&values(&random(&[out, wide], 1)), (out, wide));
            let dense = w.dequantize();
            for rows in 1..=9 {
                let x = values(&random(&[rows, wide], 2));
                let fast = product(&x, rows, &w);
                let mut portable = vec![0.0; out * rows];
                outputs(&x, rows, &w, 0, &mut portable);
                for (i, fast) in fast.iter().enumerate() {
                    let (r, o) = (i / out, i % out);
                    let (sum, size) = exact_dot(&x[r * wide..(r + 1) * wide], &dense[o * wide..(o + 1) * wide]);
                    for y in [*fast, portable[o * rows + r]] {
                        assert!((f64::from(y) - sum).abs() <= 1e-6 * size, "{out}×{wide}, row {r}: {y} {sum}");
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_times_something_is_nothing() {
        let w = Nf4::quantize(&[], (3, 0));
        assert_eq!(product(&[], 2, &w), [0.0; 6]);
        assert!(product(&[], 0, &w).is_empty());
    }
}
