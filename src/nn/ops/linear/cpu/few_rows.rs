//! `x Wᵀ` for a handful of rows and a 4-bit weight, as in decoding: each weight is looked up once and used for all rows
//! while it is in a register (AVX-512), or dequantised a row at a time into memory that stays in the first cache.

use rayon::prelude::*;

use crate::nn::ops::cpu::{dot, for_each_isa};
use crate::nn::quant::Nf4;

/// Weights below which another thread is not worth waking.
const SERIAL: usize = 1 << 20;
/// Weights of a task.
const TASK: usize = 1 << 18;

/// x (rows, in), w (out, in) -> (rows, out).
pub(super) fn product(x: &[f32], rows: usize, w: &Nf4) -> Vec<f32> {
    let (out, wide) = w.shape;
    if rows == 0 || out == 0 {
        return Vec::new();
    }
    let mut y = vec![0.0; out * rows]; // (out, rows): a task writes one piece
    let work = if wide > 0 { x86::rearranged(x, w) } else { None };
    let go = |first: usize, y: &mut [f32]| match &work {
        Some(x) => x86::outputs(x, rows, w, first, y),
        None => outputs(x, rows, w, first, y),
    };
    if out * wide <= SERIAL {
        go(0, &mut y);
    } else {
        let step = TASK.div_ceil(wide);
        y.par_chunks_mut(step * rows).enumerate().for_each(|(i, y)| go(i * step, y));
    }
    if rows == 1 { y } else { super::turned(&y, out, rows) }
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
    fn dots(weights: &[f32], x: &[f32], y: &mut [f32]) {
        for (i, y) in y.iter_mut().enumerate() {
            *y = dot(weights, &x[i * weights.len()..(i + 1) * weights.len()]);
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod x86 {
    use crate::nn::quant::Nf4;

    pub(super) fn rearranged(_: &[f32], _: &Nf4) -> Option<Vec<f32>> {
        None
    }

    pub(super) fn outputs(_: &[f32], _: usize, _: &Nf4, _: usize, _: &mut [f32]) {}
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use crate::nn::quant::{NF4_MAP, Nf4};

    const BLOCK: usize = Nf4::BLOCK;

    /// x with the 16 values under the high nibbles of 16 bytes before the 16 under the low ones; `None` where the kernel
    /// does not work: without AVX-512, or where blocks run over the ends of rows.
    pub(super) fn rearranged(x: &[f32], w: &Nf4) -> Option<Vec<f32>> {
        if !w.shape.1.is_multiple_of(BLOCK) || crate::nn::ops::cpu::Isa::get() < crate::nn::ops::cpu::Isa::Avx512 {
            return None;
        }
        let mut turned = Vec::with_capacity(x.len());
        for part in x.as_chunks::<32>().0 {
            turned.extend(part.iter().step_by(2));
            turned.extend(part.iter().skip(1).step_by(2));
        }
        Some(turned)
    }

    /// The outputs from `first` on, for `rows` rows of rearranged x.
    pub(super) fn outputs(x: &[f32], rows: usize, w: &Nf4, first: usize, y: &mut [f32]) {
        let wide = w.shape.1;
        for (o, y) in (first..).zip(y.chunks_exact_mut(rows)) {
            let mut at = 0;
            while at < rows {
                let (x, y) = (&x[at * wide..], &mut y[at..]);
                // SAFETY: x exists only on a machine with AVX-512F; each call takes as many rows as are left at least.
                at += unsafe {
                    match rows - at {
                        1 => output::<1>(x, w, o, y),
                        2..4 => output::<2>(x, w, o, y),
                        _ => output::<4>(x, w, o, y),
                    }
                };
            }
        }
    }

    /// One output for R rows; gives R.
    #[target_feature(enable = "avx512f")]
    fn output<const R: usize>(x: &[f32], w: &Nf4, o: usize, y: &mut [f32]) -> usize {
        let wide = w.shape.1;
        let blocks = wide / BLOCK;
        assert!(x.len() >= R * wide && y.len() >= R);
        let codes = &w.codes[o * wide / 2..(o + 1) * wide / 2];
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        // SAFETY: the table has 16 values; a block has 32 bytes of codes and 64 values of x, checked above.
        unsafe {
            let values = _mm512_loadu_ps(NF4_MAP.as_ptr());
            for block in 0..blocks {
                let table = _mm512_mul_ps(values, _mm512_set1_ps(w.scale(o * blocks + block)));
                for half in 0..2 {
                    let bytes = codes.as_ptr().add(32 * block + 16 * half);
                    let bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.cast()));
                    let high = _mm512_permutexvar_ps(_mm512_srli_epi32::<4>(bytes), table);
                    let low = _mm512_permutexvar_ps(bytes, table); // looks at the low 4 bits only
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let x = x.as_ptr().add(i * wide + block * BLOCK + 32 * half);
                        sums[0] = _mm512_fmadd_ps(high, _mm512_loadu_ps(x), sums[0]);
                        sums[1] = _mm512_fmadd_ps(low, _mm512_loadu_ps(x.add(16)), sums[1]);
                    }
                }
            }
        }
        for (y, sums) in y.iter_mut().zip(sums) {
            *y = _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
        }
        R
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::twin::{random, values};

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
                    let pairs = x[r * wide..(r + 1) * wide].iter().zip(&dense[o * wide..(o + 1) * wide]);
                    let (mut sum, mut size) = (0.0, 0.0);
                    for (a, b) in pairs {
                        sum += f64::from(*a) * f64::from(*b);
                        size += f64::from(*a * b).abs();
                    }
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
