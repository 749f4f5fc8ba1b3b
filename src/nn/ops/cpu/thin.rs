//! Products whose result has a few rows, as the gradients of adapters do: `vᵀ x` over many rows of `v` and `x`. A general
//! product packs both operands first, which here costs more than the product; this one reads them where they lie.

use rayon::prelude::*;

use super::gemm::{Mat, product};
use super::memory::Disjoint;

/// Columns of a task.
const COLUMNS: usize = 128;
/// Rows of the result beyond which the general product is better.
const TALLEST: usize = 64;

/// `vᵀ x`, row-major: v (rows, r), x (rows, columns) -> (r, columns).
pub(in crate::nn) fn thin_product(v: Mat<'_>, x: Mat<'_>) -> Vec<f32> {
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

    /// Rows that are gone through before the next columns, so that both operands stay in a cache.
    const ROWS: usize = 128;

    pub(super) fn available() -> bool {
        std::is_x86_feature_detected!("avx512f")
    }

    /// Some columns of the result, added to `out`.
    ///
    /// # Safety
    /// No one else may touch these columns meanwhile.
    pub(super) unsafe fn columns(v: Mat<'_>, x: Mat<'_>, columns: Range<usize>, out: &Disjoint<'_>) {
        for first in (0..v.rows).step_by(ROWS) {
            let rows = first..v.rows.min(first + ROWS);
            for column in columns.clone().step_by(32) {
                let width = (columns.end - column).min(32);
                let mut i = 0;
                while i < v.cols {
                    let left = (&v.data[i..], v.row);
                    let right = (&x.data[column..], x.row, width);
                    let out = out.at(i * x.cols + column, 1);
                    // SAFETY: the caller asked for AVX-512F and owns these columns; each call takes as many rows of
                    // the result as are left at least.
                    i += unsafe {
                        match v.cols - i {
                            8.. => block::<8>(left, right, rows.clone(), (out, x.cols)),
                            4..8 => block::<4>(left, right, rows.clone(), (out, x.cols)),
                            _ => block::<1>(left, right, rows.clone(), (out, x.cols)),
                        }
                    };
                }
            }
        }
    }

    /// R rows of the result, up to 32 columns; gives R.
    ///
    /// # Safety
    /// `out` has R rows of the given width, a stride apart.
    #[target_feature(enable = "avx512f")]
    unsafe fn block<const R: usize>(
        (v, v_row): (&[f32], usize),
        (x, x_row, width): (&[f32], usize, usize),
        rows: Range<usize>,
        (out, stride): (*mut f32, usize),
    ) -> usize {
        let last = rows.end - 1;
        assert!(v.len() >= last * v_row + R && x.len() >= last * x_row + width);
        let mask = |j: usize| ((1u32 << width.saturating_sub(16 * j).min(16)) - 1) as __mmask16;
        let masks = [mask(0), mask(1)];
        // SAFETY: the ends of `v` and `x` were checked above, masks leave out what is beyond the width, and the caller
        // promises `out`.
        unsafe {
            let place = |i: usize, j: usize| out.wrapping_add(i * stride + 16 * j);
            let mut sums: [[__m512; 2]; R] =
                std::array::from_fn(|i| std::array::from_fn(|j| _mm512_maskz_loadu_ps(masks[j], place(i, j))));
            for row in rows {
                let x = x.as_ptr().add(row * x_row);
                let x = [_mm512_maskz_loadu_ps(masks[0], x), _mm512_maskz_loadu_ps(masks[1], x.wrapping_add(16))];
                for (i, sums) in sums.iter_mut().enumerate() {
                    let v = _mm512_set1_ps(*v.as_ptr().add(row * v_row + i));
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum = _mm512_fmadd_ps(v, x, *sum);
                    }
                }
            }
            for (i, sums) in sums.into_iter().enumerate() {
                for (j, sum) in sums.into_iter().enumerate() {
                    _mm512_mask_storeu_ps(place(i, j), masks[j], sum);
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
            let (fast, slow) = (thin_product(v, x), product(v.t(), x, 1.0));
            assert_eq!(fast.len(), slow.len());
            for (a, b) in fast.iter().zip(&slow) {
                assert!((a - b).abs() <= 1e-4, "{rows}, {r}, {n}: {a} {b}");
            }
        }
    }
}
