//! Products with a dense or 4-bit weight and its low-rank update.
//!
//! With AVX-512 weight and update are one product over the depth of both, and a 4-bit weight is dequantised while it is
//! packed. Elsewhere it is dequantised a panel of output rows at a time into a reused buffer of a few megabytes.

mod bias;
mod gemv;
mod prepacked;

pub(super) use bias::{add_bias, bias_gradient};
pub(in crate::nn::ops) use gemv::{GemvInput, dots, steps};
pub(in crate::nn) use prepacked::Prepacked;
pub(in crate::nn::ops) use prepacked::PrepackedInput;

use super::dropout::Dropout;
use crate::nn::Precision;
use crate::nn::cpu::{Disjoint, Mat, MatMut, fill, gemm_narrow, gemm_short, product, product_into};
use crate::nn::ops::tiled::{Right, Term, tiled_product, tiles_available};
use crate::nn::quant::Nf4;

/// The values of a weight (out, in).
#[derive(Clone, Copy)]
pub(super) enum WeightRef<'a> {
    Dense(&'a [f32]),
    Nf4(&'a Nf4),
}

/// The values of an adapter.
pub(super) struct LowRank<'a> {
    pub(super) a: &'a [f32],
    pub(super) b: &'a [f32],
    pub(super) rank: usize,
    pub(super) scale: f32,
    pub(super) dropout: Option<Dropout>,
}

/// Values of a dequantised panel: 1 MiB, which stays in a core's cache.
const PANEL: usize = 1 << 18;
/// Up to this many rows each weight is used while it is still in a register.
const FEW: usize = 8;

/// Output rows of a panel, about equal for all panels, since a narrow last one would cost as much as a whole one.
fn panel_rows((out, wide): (usize, usize)) -> usize {
    let most = (PANEL / wide.max(1)).clamp(128, 1024);
    out.div_ceil(out.div_ceil(most).max(1)).max(1).next_multiple_of(16)
}

impl<'a> WeightRef<'a> {
    /// Wᵀ: (in, out)
    fn transposed(self, (out, wide): (usize, usize)) -> Right<'a> {
        match self {
            Self::Dense(w) => Right::Dense(Mat::new(w, out, wide).t()),
            Self::Nf4(w) => Right::Nf4Turned(w),
        }
    }

    /// W: (out, in)
    fn straight(self, (out, wide): (usize, usize)) -> Right<'a> {
        match self {
            Self::Dense(w) => Right::Dense(Mat::new(w, out, wide)),
            Self::Nf4(w) => Right::Nf4(w),
        }
    }
}

/// `Σ left · right` as a new matrix (rows, columns), by tiles.
fn tiles(rows: usize, columns: usize, terms: &[Term<'_>], precision: Precision) -> Vec<f32> {
    let precision = precision.on_this_cpu();
    // SAFETY: a product that does not add writes every element.
    unsafe {
        fill(rows * columns, |out| {
            let out = MatMut::within(&Disjoint::uninit(out), 0, (rows, columns), columns);
            tiled_product(out, terms, false, precision);
        })
    }
}

/// Whether a product of these sizes is faster by tiles.
fn tiled(rows: usize, (out, wide): (usize, usize)) -> bool {
    rows > FEW && out > 0 && wide > 0 && tiles_available()
}

/// `x Wᵀ + s · drop(x) Aᵀ Bᵀ`: x (rows, in) -> (rows, out); and `s · drop(x) Aᵀ` (rows, r), which backward reads.
pub(super) fn forward(
    x: &[f32],
    rows: usize,
    weight: WeightRef<'_>,
    shape: (usize, usize),
    low: Option<&LowRank<'_>>,
    precision: Precision,
) -> (Vec<f32>, Vec<f32>) {
    let (out, wide) = shape;
    let xs = Mat::new(x, rows, wide);
    let u = low.map(|low| squeezed(x, rows, wide, low)).unwrap_or_default();
    let update = low.map(|low| (Mat::new(&u, rows, low.rank), Mat::new(low.b, out, low.rank).t()));
    if tiled(rows, shape) {
        let update = update.map(|(left, b)| Term { left, right: Right::Dense(b) });
        let weight = Term { left: xs, right: weight.transposed(shape) };
        let y = match update {
            Some(update) => tiles(rows, out, &[weight, update], precision),
            None => tiles(rows, out, &[weight], precision),
        };
        return (y, u);
    }
    let mut y = match weight {
        WeightRef::Dense(w) => product(xs, Mat::new(w, out, wide).t(), 1.0),
        WeightRef::Nf4(w) if rows <= FEW => gemv::product(x, rows, w),
        WeightRef::Nf4(w) => forward_nf4(xs, rows, w),
    };
    if let Some((u, b)) = update {
        product_into(MatMut::new(&mut y, rows, out), u, b, 1.0, true);
    }
    (y, u)
}

fn forward_nf4(x: Mat<'_>, rows: usize, w: &Nf4) -> Vec<f32> {
    let (out, wide) = w.shape;
    let step = panel_rows(w.shape);
    let mut panel = vec![0.0; step.min(out) * wide];
    // SAFETY: the panels cover all columns of `y`, one after the other, and each product overwrites its own.
    unsafe {
        fill(rows * out, |y| {
            let y = Disjoint::uninit(y);
            for first in (0..out).step_by(step) {
                let n = step.min(out - first);
                let panel = &mut panel[..n * wide];
                w.dequantize_into(first * wide..(first + n) * wide, panel);
                let y = MatMut::within(&y, first, (rows, n), out);
                product_into(y, x, Mat::new(panel, n, wide).t(), 1.0, false);
            }
        })
    }
}

/// `dy W + drop(v A)`: dy (rows, out), v (rows, r) -> (rows, in).
pub(super) fn input_gradient(
    dy: &[f32],
    rows: usize,
    weight: WeightRef<'_>,
    shape: (usize, usize),
    low: Option<(&LowRank<'_>, &[f32])>,
    precision: Precision,
) -> Vec<f32> {
    let wide = shape.1;
    let update = low.map(|(low, v)| (Mat::new(v, rows, low.rank), Mat::new(low.a, low.rank, wide)));
    let dropout = low.and_then(|(low, _)| low.dropout);
    if tiled(rows, shape) {
        let weight = Term { left: Mat::new(dy, rows, shape.0), right: weight.straight(shape) };
        let mut dx = match update {
            Some((v, a)) if dropout.is_none() => {
                tiles(rows, wide, &[weight, Term { left: v, right: Right::Dense(a) }], precision)
            }
            _ => tiles(rows, wide, &[weight], precision),
        };
        if let (Some((v, a)), Some(dropout)) = (update, dropout) {
            dropout.add(&mut tiles(rows, wide, &[Term { left: v, right: Right::Dense(a) }], precision), &mut dx);
        }
        return dx;
    }
    let mut dx = frozen_gradient(dy, rows, weight, shape);
    match (update, dropout) {
        (Some((v, a)), None) => product_into(MatMut::new(&mut dx, rows, wide), v, a, 1.0, true),
        (Some((v, a)), Some(dropout)) => dropout.add(&mut product(v, a, 1.0), &mut dx),
        (None, _) => {}
    }
    dx
}

/// `dy W` without tiles.
fn frozen_gradient(dy: &[f32], rows: usize, weight: WeightRef<'_>, (out, wide): (usize, usize)) -> Vec<f32> {
    let w = match weight {
        WeightRef::Dense(w) => return product(Mat::new(dy, rows, out), Mat::new(w, out, wide), 1.0),
        WeightRef::Nf4(w) => w,
    };
    let step = panel_rows(w.shape);
    let mut panel = vec![0.0; step.min(out) * wide];
    // SAFETY: the product with the first panel writes every element, the others add to it; without outputs there are
    // no panels, and the gradient is zero.
    unsafe {
        fill(rows * wide, |dx| {
            if out == 0 {
                dx.fill(std::mem::MaybeUninit::new(0.0));
            }
            let dx = Disjoint::uninit(dx);
            for first in (0..out).step_by(step) {
                let n = step.min(out - first);
                let panel = &mut panel[..n * wide];
                w.dequantize_into(first * wide..(first + n) * wide, panel);
                let dy = Mat::strided(&dy[first.min(dy.len())..], rows, n, out);
                let dx = MatMut::within(&dx, 0, (rows, wide), wide);
                product_into(dx, dy, Mat::new(panel, n, wide), 1.0, first > 0);
            }
        })
    }
}

/// `dyᵀ x`: dy (rows, out), x (rows, in) -> (out, in).
pub(super) fn weight_gradient(
    dy: &[f32],
    rows: usize,
    x: &[f32],
    (out, wide): (usize, usize),
    precision: Precision,
) -> Vec<f32> {
    let (left, right) = (Mat::new(dy, rows, out).t(), Mat::new(x, rows, wide));
    if tiled(rows, (out, wide)) {
        return tiles(out, wide, &[Term { left, right: Right::Dense(right) }], precision);
    }
    product(left, right, 1.0)
}

/// `s · dy B`: (rows, r)
pub(super) fn gradient_of_squeezed(dy: &[f32], rows: usize, out: usize, low: &LowRank<'_>) -> Vec<f32> {
    gemm_narrow(Mat::new(dy, rows, out), Mat::new(low.b, out, low.rank), low.scale)
}

/// dA (r, in) and dB (out, r), from `u` of [`forward`] and `v` of [`gradient_of_squeezed`].
pub(super) fn low_gradients(
    dy: &[f32],
    rows: usize,
    x: &[f32],
    (out, wide): (usize, usize),
    low: &LowRank<'_>,
    (u, v): (&[f32], &[f32]),
) -> (Vec<f32>, Vec<f32>) {
    let rank = low.rank;
    let dropped = low.dropout.map(|dropout| dropout.apply(x));
    let da = gemm_short(Mat::new(v, rows, rank), Mat::new(dropped.as_deref().unwrap_or(x), rows, wide));
    // dBᵀ, because then the long side is contiguous; it is small, and transposing it costs nothing.
    let db = gemm_short(Mat::new(u, rows, rank), Mat::new(dy, rows, out));
    (da, transposed(&db, rank, out))
}

/// `s · drop(x) Aᵀ`: (rows, r)
fn squeezed(x: &[f32], rows: usize, wide: usize, low: &LowRank<'_>) -> Vec<f32> {
    let dropped = low.dropout.map(|dropout| dropout.apply(x));
    let xs = Mat::new(dropped.as_deref().unwrap_or(x), rows, wide);
    gemm_narrow(xs, Mat::new(low.a, low.rank, wide).t(), low.scale)
}

/// The transpose of a row-major matrix.
fn transposed(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    for (j, out) in out.chunks_exact_mut(rows.max(1)).enumerate() {
        for (i, out) in out.iter_mut().enumerate() {
            *out = x[i * cols + j];
        }
    }
    out
}
