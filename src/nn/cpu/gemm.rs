//! Matrix products on strided views, without transposing or copying operands.

use std::marker::PhantomData;

use super::memory::{Disjoint, fill};

/// A matrix operand: element (i, j) is at `i · row + j · col`.
#[derive(Clone, Copy)]
pub(in crate::nn) struct Mat<'a> {
    pub(in crate::nn) data: &'a [f32],
    pub(in crate::nn) rows: usize,
    pub(in crate::nn) cols: usize,
    pub(in crate::nn) row: usize,
    pub(in crate::nn) col: usize,
}

impl<'a> Mat<'a> {
    /// A row-major matrix.
    pub(in crate::nn) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A matrix whose rows are contiguous and begin `row` elements apart.
    pub(in crate::nn) fn strided(data: &'a [f32], rows: usize, cols: usize, row: usize) -> Self {
        let needed = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row + cols };
        assert!(needed <= data.len(), "a {rows}×{cols} matrix of stride {row} in {} values", data.len());
        Self { data, rows, cols, row, col: 1 }
    }

    /// The transpose, by exchanging strides.
    pub(in crate::nn) fn t(self) -> Self {
        Self { data: self.data, rows: self.cols, cols: self.rows, row: self.col, col: self.row }
    }
}

/// An output matrix, with contiguous rows `row` elements apart.
pub(in crate::nn) struct MatMut<'a> {
    start: *mut f32,
    pub(in crate::nn) rows: usize,
    pub(in crate::nn) cols: usize,
    pub(in crate::nn) row: usize,
    life: PhantomData<&'a mut [f32]>,
}

impl<'a> MatMut<'a> {
    /// Its memory, for tasks that write disjoint parts.
    pub(in crate::nn) fn shared(self) -> Disjoint<'a> {
        let span = if self.rows == 0 || self.cols == 0 { 0 } else { (self.rows - 1) * self.row + self.cols };
        // SAFETY: the view was checked against its memory when it was made, and is given up here.
        unsafe { Disjoint::raw(self.start, span) }
    }

    /// A row-major matrix.
    pub(in crate::nn) fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert!(rows * cols <= data.len());
        Self { start: data.as_mut_ptr(), rows, cols, row: cols, life: PhantomData }
    }

    /// The matrix at `offset` of memory that others write elsewhere.
    ///
    /// # Safety
    /// Nothing else may touch these elements meanwhile; if they are not initialised, they may only be overwritten.
    pub(in crate::nn) unsafe fn within(all: &Disjoint<'a>, offset: usize, size: (usize, usize), row: usize) -> Self {
        let (rows, cols) = size;
        let span = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row + cols };
        Self { start: all.at(offset, span), rows, cols, row, life: PhantomData }
    }
}

/// `out = factor · a b`, or `out += factor · a b` when `add`.
pub(in crate::nn) fn product_into(out: MatMut<'_>, a: Mat<'_>, b: Mat<'_>, factor: f32, add: bool) {
    assert!(a.cols == b.rows && out.rows == a.rows && out.cols == b.cols, "sizes of a product");
    // SAFETY: the views were checked against their memory when they were made, and `out` is exclusive. With
    // `read_dst` false the old contents of `out` are not read.
    unsafe {
        gemm::gemm(
            out.rows,
            out.cols,
            a.cols,
            out.start,
            1,
            out.row as isize,
            add,
            a.data.as_ptr(),
            a.col as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.col as isize,
            b.row as isize,
            1.0,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(0),
        );
    }
}

/// `factor · a b`, row-major.
pub(in crate::nn) fn product(a: Mat<'_>, b: Mat<'_>, factor: f32) -> Vec<f32> {
    // SAFETY: a product that does not add writes every element of `out`.
    unsafe {
        fill(a.rows * b.cols, |out| {
            let out = MatMut::within(&Disjoint::uninit(out), 0, (a.rows, b.cols), b.cols);
            product_into(out, a, b, factor, false);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect()
    }

    fn naive(a: Mat<'_>, b: Mat<'_>) -> Vec<f32> {
        let at = |m: &Mat<'_>, i: usize, j: usize| f64::from(m.data[i * m.row + j * m.col]);
        let mut out = Vec::new();
        for i in 0..a.rows {
            for j in 0..b.cols {
                out.push((0..a.cols).map(|k| at(&a, i, k) * at(&b, k, j)).sum::<f64>() as f32);
            }
        }
        out
    }

    #[test]
    fn every_transposition_gives_the_naive_product() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 7), (64, 33, 17), (130, 65, 129), (2, 0, 3), (0, 4, 4), (1, 300, 40)] {
            let (a, b) = (values(m * k), values(k * n));
            for (a, b) in [
                (Mat::new(&a, m, k), Mat::new(&b, k, n)),
                (Mat::new(&a, k, m).t(), Mat::new(&b, k, n)),
                (Mat::new(&a, m, k), Mat::new(&b, n, k).t()),
                (Mat::new(&a, k, m).t(), Mat::new(&b, n, k).t()),
            ] {
                let (fast, slow) = (product(a, b, 1.0), naive(a, b));
                assert_eq!(fast.len(), slow.len());
                for (x, y) in fast.iter().zip(&slow) {
                    assert!((x - y).abs() <= 1e-4, "{m}×{k}×{n}: {x} {y}");
                }
            }
        }
    }

    #[test]
    fn a_product_does_not_depend_on_the_number_of_threads() {
        let (a, b) = (values(257 * 320), values(320 * 129));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| product(Mat::new(&a, 257, 320), Mat::new(&b, 320, 129), 0.5))
        };
        let one = run(1);
        for threads in [2, 3, 5] {
            assert_eq!(one, run(threads), "{threads} threads");
        }
    }
}
