//! Products whose result has few rows, as the gradients of adapters: `vᵀ x` over many rows of `v` and `x`. A general
//! product packs both operands first, which costs more than the product here; this one reads them unpacked.

use rayon::prelude::*;

use super::gemm::{Mat, product};
use super::memory::Disjoint;

/// Columns of a task.
const COLUMNS: usize = 128;
/// The most rows of the result for which it is faster than the general product.
const TALLEST: usize = 64;

/// `vᵀ x`, row-major: v (rows, r), x (rows, columns) -> (r, columns).
pub(in crate::nn) fn gemm_short(v: Mat<'_>, x: Mat<'_>) -> Vec<f32> {
    assert_eq!(v.rows, x.rows, "sizes of a product");
    let fits = v.col == 1 && x.col == 1 && (1..=TALLEST).contains(&v.cols) && v.rows >= 16 && x.cols > 0;
    if !fits || !x86::available() {
        return product(v.t(), x, 1.0);
    }
    let mut out = vec![0.0; v.cols * x.cols];
    let shared = Disjoint::new(&mut out);
    (0..x.cols.div_ceil(COLUMNS)).into_par_iter().for_each(|task| {
        let first = task * COLUMNS;
        // SAFETY: each task writes its own columns.
        unsafe { x86::columns(v, x, first..x.cols.min(first + COLUMNS), &shared) };
    });
    out
}

#[cfg(not(target_arch = "x86_64"))]
mod x86 {
    use super::{Disjoint, Mat};

    pub(super) fn available() -> bool {
        false
    }

    pub(super) unsafe fn columns(_: Mat<'_>, _: Mat<'_>, _: std::ops::Range<usize>, _: &Disjoint<'_>) {}
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::ops::Range;

    use super::{Disjoint, Mat};

    /// The number of rows that are prefetched.
    const AHEAD: usize = 16;

    pub(super) fn available() -> bool {
        crate::nn::cpu::Isa::get() == crate::nn::cpu::Isa::Avx512
    }

    /// Some columns of the result, added to `out`.
    ///
    /// # Safety
    /// No one else may touch these columns meanwhile.
    pub(super) unsafe fn columns(v: Mat<'_>, x: Mat<'_>, columns: Range<usize>, out: &Disjoint<'_>) {
        let mut row = 0;
        while row < v.rows {
            let (left, right) = ((&v.data[row * v.row..], v.row, v.cols), (&x.data[row * x.row..], x.row, x.cols));
            // SAFETY: the caller asked for AVX-512F and owns these columns; each call takes as many rows as are left at
            // least.
            row += unsafe {
                match v.rows - row {
                    8.. => rows::<8>(left, right, columns.clone(), out),
                    4..8 => rows::<4>(left, right, columns.clone(), out),
                    _ => rows::<1>(left, right, columns.clone(), out),
                }
            };
        }
    }

    /// Adds the products of R rows of both operands: the result is loaded and stored once for R multiplications; gives R.
    ///
    /// # Safety
    /// As [`columns`], on a machine with AVX-512F.
    #[target_feature(enable = "avx512f")]
    unsafe fn rows<const R: usize>(
        (v, v_row, count): (&[f32], usize, usize),
        (x, x_row, wide): (&[f32], usize, usize),
        columns: Range<usize>,
        out: &Disjoint<'_>,
    ) -> usize {
        assert!(v.len() >= (R - 1) * v_row + count && x.len() >= (R - 1) * x_row + wide && columns.end <= wide);
        let out = out.at(0, count * wide);
        for column in columns.clone().step_by(16) {
            let mask = ((1u32 << (columns.end - column).min(16)) - 1) as __mmask16;
            // SAFETY: the ends of `v` and `x` were checked above and that of `out` by `at`; the mask leaves out what is
            // beyond the last column.
            unsafe {
                let x: [__m512; R] = std::array::from_fn(|i| {
                    let place = x.as_ptr().add(i * x_row + column);
                    // The next rows: the hardware prefetcher does not follow jumps from row to row.
                    _mm_prefetch::<_MM_HINT_T0>(place.wrapping_add(AHEAD * x_row).cast());
                    _mm512_maskz_loadu_ps(mask, place)
                });
                for j in 0..count {
                    let place = out.add(j * wide + column);
                    let mut sum = _mm512_maskz_loadu_ps(mask, place);
                    for (i, x) in x.into_iter().enumerate() {
                        sum = _mm512_fmadd_ps(_mm512_set1_ps(*v.as_ptr().add(i * v_row + j)), x, sum);
                    }
                    _mm512_mask_storeu_ps(place, mask, sum);
                }
            }
        }
        R
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_equals_the_general_product() {
        let values = |n: usize| -> Vec<f32> { (0..n).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect() };
        for (rows, r, n) in
            [(16, 1, 1), (20, 8, 320), (300, 16, 33), (129, 17, 200), (70, 64, 16), (5, 2, 3), (40, 5, 0)]
        {
            let (v, x) = (values(rows * r), values(rows * (n + 3)));
            let (v, x) = (Mat::new(&v, rows, r), Mat::strided(&x, rows, n, n + 3));
            let (fast, slow) = (gemm_short(v, x), product(v.t(), x, 1.0));
            assert_eq!(fast.len(), slow.len());
            for (a, b) in fast.iter().zip(&slow) {
                assert!((a - b).abs() <= 1e-4, "{rows}, {r}, {n}: {a} {b}");
            }
        }
    }
}
