//! Packs the rows of a head in the order in which the kernels read them, and unpacks results.

use super::kernels::{GROUP, LaneRow, WIDE};

/// Reusable memory, aligned to a cache line; new memory is zero, reused memory keeps its old values.
#[derive(Default)]
pub(super) struct Scratch(Vec<LaneRow>);

impl Scratch {
    /// `len` values.
    pub(super) fn slice(&mut self, len: usize) -> &mut [f32] {
        let lines = len.div_ceil(GROUP);
        if self.0.len() < lines {
            self.0.resize(lines, LaneRow::ZERO);
        }
        // SAFETY: a line is GROUP floats and nothing else.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), len) }
    }

    /// `len` zeros.
    pub(super) fn zeros(&mut self, len: usize) -> &mut [f32] {
        let values = self.slice(len);
        values.fill(0.0);
        values
    }
}

/// Rows that lie `step` apart.
#[derive(Clone, Copy)]
pub(super) struct StridedRows<'a> {
    pub(super) data: &'a [f32],
    pub(super) at: usize,
    pub(super) step: usize,
    pub(super) count: usize,
    pub(super) dim: usize,
}

impl<'a> StridedRows<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = &'a [f32]> {
        (0..self.count).map(move |i| &self.data[self.at + i * self.step..][..self.dim])
    }

    /// Packs rows one behind the other, `width` apart; the padding is 0.
    pub(super) fn copy(self, width: usize, factor: f32, out: &mut [f32]) {
        if self.dim == 0 {
            return;
        }
        for (row, out) in self.iter().zip(out.chunks_exact_mut(width)) {
            for (out, x) in out.iter_mut().zip(row) {
                *out = factor * x;
            }
            out[self.dim..].fill(0.0);
        }
    }

    /// Packs them as columns of WIDE lanes: (dim, WIDE); the lanes beyond `count` are 0.
    pub(super) fn transpose(self, factor: f32, out: &mut [f32]) {
        if self.count < WIDE {
            out.fill(0.0);
        }
        let mut i = 0;
        while i < self.count {
            let lanes = (self.count - i).min(SIDE);
            let rows: [&[f32]; SIDE] = std::array::from_fn(|r| {
                let row = i + r.min(lanes - 1); // the last row again where there is none: it is not stored
                &self.data[self.at + row * self.step..][..self.dim]
            });
            let mut d = 0;
            while lanes == SIDE && d + SIDE <= self.dim {
                square(std::array::from_fn(|r| &rows[r][d..d + SIDE]), factor, &mut out[d * WIDE + i..]);
                d += SIDE;
            }
            for (d, out) in out.chunks_exact_mut(WIDE).enumerate().skip(d) {
                for (r, row) in rows[..lanes].iter().enumerate() {
                    out[i + r] = factor * row[d];
                }
            }
            i += SIDE;
        }
    }
}

/// Rows and columns transposed at once, as many as every instruction set has registers for.
const SIDE: usize = 4;

/// The transpose of a few rows, written WIDE apart.
#[inline(always)]
fn square(rows: [&[f32]; SIDE], factor: f32, out: &mut [f32]) {
    let x: [[f32; SIDE]; SIDE] = rows.map(|row| std::array::from_fn(|i| factor * row[i]));
    for (d, out) in out.chunks_mut(WIDE).take(SIDE).enumerate() {
        out[..SIDE].copy_from_slice(&[x[0][d], x[1][d], x[2][d], x[3][d]]);
    }
}

/// Lane `lane` of (dim, WIDE) as a row.
pub(super) fn transpose_back(transposed: &[f32], lane: usize, factor: f32, out: &mut [f32]) {
    for (out, lanes) in out.iter_mut().zip(transposed.chunks_exact(WIDE)) {
        *out = factor * lanes[lane];
    }
}
