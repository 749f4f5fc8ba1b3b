//! Operands of products: dense matrices in either order, and 4-bit ones, dequantised a window at a time.

use std::ops::Range;

use crate::nn::cpu::Mat;
use crate::nn::quant::Nf4;

/// The right operand of a product: (depth, columns).
#[derive(Clone, Copy)]
pub(in crate::nn) enum Right<'a> {
    /// f32.
    Dense(Mat<'a>),
    /// A 4-bit weight (out, in) as it is: depth runs over its outputs.
    Nf4(&'a Nf4),
    /// The transpose of a 4-bit weight: depth runs over its inputs.
    Nf4Turned(&'a Nf4),
}

/// One summand of an output: `left · right`.
#[derive(Clone, Copy)]
pub(in crate::nn) struct Term<'a> {
    /// (rows, depth)
    pub(in crate::nn) left: Mat<'a>,
    /// (depth, columns)
    pub(in crate::nn) right: Right<'a>,
}

/// A matrix with one contiguous axis: the second if `along`, else the first.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    data: &'a [f32],
    stride: usize,
    pub(super) along: bool,
}

/// A part of the depth of one term.
pub(super) struct DepthRun<'a> {
    pub(super) left: View<'a>,
    pub(super) depth: Range<usize>,
}

impl<'a> View<'a> {
    pub(super) fn of(m: Mat<'a>) -> Self {
        let along = m.col == 1;
        Self { data: m.data, stride: if along { m.row } else { m.col }, along }
    }

    /// `n` contiguous values from index `from` of line `i` on.
    pub(super) fn line(&self, i: usize, from: usize, n: usize) -> &'a [f32] {
        &self.data[i * self.stride + from..][..n]
    }
}

impl Right<'_> {
    /// (depth, columns)
    pub(super) fn shape(&self) -> (usize, usize) {
        match self {
            Self::Dense(m) => (m.rows, m.cols),
            Self::Nf4(w) => w.shape,
            Self::Nf4Turned(w) => (w.shape.1, w.shape.0),
        }
    }

    /// The values at `depth` and `columns`; `scratch` holds them if they had to be dequantised.
    pub(super) fn window<'b>(
        &'b self,
        depth: Range<usize>,
        columns: Range<usize>,
        scratch: &'b mut Vec<f32>,
    ) -> View<'b> {
        let (w, lines, along) = match self {
            Self::Dense(m) => {
                let data = &m.data[depth.start * m.row + columns.start * m.col..];
                return View { data, ..View::of(*m) };
            }
            Self::Nf4(w) => (w, (depth, columns), true),
            Self::Nf4Turned(w) => (w, (columns, depth), false),
        };
        let (rows, across) = lines;
        let stride = across.len();
        scratch.resize(rows.len() * stride, 0.0);
        for (row, out) in rows.zip(scratch.chunks_exact_mut(stride)) {
            w.dequantize_here(row * w.shape.1 + across.start, out);
        }
        View { data: scratch, stride, along }
    }
}
