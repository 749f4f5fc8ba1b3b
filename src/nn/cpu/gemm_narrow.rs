//! Products whose result has few columns, as those of adapters. A general product packs the long operand first, which
//! costs more than the product here; this one reads it unpacked.

use rayon::prelude::*;

use super::gemm::{Mat, product};

/// Rows of a task.
const ROWS: usize = 64;
/// The most columns for which it is faster than the general product.
const WIDEST: usize = 64;

/// `factor · a b`, row-major, for `b` of a few columns.
pub(in crate::nn) fn gemm_narrow(a: Mat<'_>, b: Mat<'_>, factor: f32) -> Vec<f32> {
    assert_eq!(a.cols, b.rows, "sizes of a product");
    let fits = a.col == 1 && (1..=WIDEST).contains(&b.cols) && a.cols > 0 && a.rows >= 8;
    if !fits || !x86::available() {
        return product(a, b, factor);
    }
    let panels = x86::packed(b, factor);
    let mut out = vec![0.0; a.rows * b.cols];
    out.par_chunks_mut(ROWS * b.cols).enumerate().for_each(|(i, out)| {
        x86::rows(&a.data[i * ROWS * a.row..], a.row, a.cols, &panels, out, b.cols);
    });
    out
}

#[cfg(not(target_arch = "x86_64"))]
mod x86 {
    use super::Mat;

    pub(super) fn available() -> bool {
        false
    }

    pub(super) fn packed(_: Mat<'_>, _: f32) -> Vec<[f32; 16]> {
        Vec::new()
    }

    pub(super) fn rows(_: &[f32], _: usize, _: usize, _: &[[f32; 16]], _: &mut [f32], _: usize) {}
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Mat;

    pub(super) fn available() -> bool {
        crate::nn::cpu::Isa::get() == crate::nn::cpu::Isa::Avx512
    }

    /// `factor · b` in panels of 16 columns, one after the other, a register a row, padded with 0.
    pub(super) fn packed(b: Mat<'_>, factor: f32) -> Vec<[f32; 16]> {
        let mut panels = vec![[0.0; 16]; b.cols.div_ceil(16) * b.rows];
        for j in 0..b.cols {
            for (k, row) in panels[j / 16 * b.rows..][..b.rows].iter_mut().enumerate() {
                row[j % 16] = factor * b.data[k * b.row + j * b.col];
            }
        }
        panels
    }

    /// Some whole rows of the result: a (rows of `depth` values, `stride` apart), out (rows, cols).
    pub(super) fn rows(a: &[f32], stride: usize, depth: usize, panels: &[[f32; 16]], out: &mut [f32], cols: usize) {
        let count = out.len() / cols;
        assert!(a.len() >= (count - 1) * stride + depth && panels.len() == cols.div_ceil(16) * depth);
        for (j, panel) in panels.chunks_exact(depth).enumerate() {
            let width = (cols - 16 * j).min(16);
            let mut i = 0;
            while i < count {
                let (a, out) = (&a[i * stride..], &mut out[i * cols + 16 * j..]);
                // SAFETY: the caller asked for AVX-512F; each call takes as many rows as are left at least.
                i += unsafe {
                    match count - i {
                        8.. => tile::<8>(a, stride, panel, out, cols, width),
                        4..8 => tile::<4>(a, stride, panel, out, cols, width),
                        _ => tile::<1>(a, stride, panel, out, cols, width),
                    }
                };
            }
        }
    }

    /// R rows, 16 columns or fewer; gives R.
    #[target_feature(enable = "avx512f")]
    fn tile<const R: usize>(
        a: &[f32],
        stride: usize,
        panel: &[[f32; 16]],
        out: &mut [f32],
        cols: usize,
        width: usize,
    ) -> usize {
        assert!(a.len() >= (R - 1) * stride + panel.len() && out.len() >= (R - 1) * cols + width);
        let mut sums = [_mm512_setzero_ps(); R];
        let mask = (1u32 << width).wrapping_sub(1) as __mmask16;
        // SAFETY: the ends of `a` and `out` were checked above, and the mask stores `width` columns only.
        unsafe {
            for (k, row) in panel.iter().enumerate() {
                let b = _mm512_loadu_ps(row.as_ptr());
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm512_fmadd_ps(_mm512_set1_ps(*a.as_ptr().add(i * stride + k)), b, *sum);
                }
            }
            for (i, sum) in sums.into_iter().enumerate() {
                _mm512_mask_storeu_ps(out.as_mut_ptr().add(i * cols), mask, sum);
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
        for (m, k, n) in [(8, 1, 1), (9, 320, 8), (67, 33, 16), (130, 70, 17), (200, 65, 64), (7, 5, 3), (64, 0, 4)] {
            let (a, b) = (values(m * (k + 3)), values(k * n));
            let a = Mat::strided(&a, m, k, k + 3);
            for b in [Mat::new(&b, k, n), Mat::new(&b, n, k).t()] {
                let (fast, slow) = (gemm_narrow(a, b, 0.5), product(a, b, 0.5));
                assert_eq!(fast.len(), slow.len());
                for (x, y) in fast.iter().zip(&slow) {
                    assert!((x - y).abs() <= 1e-4, "{m}×{k}×{n}: {x} {y}");
                }
            }
        }
    }
}
