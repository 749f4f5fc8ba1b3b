//! Products with a weight that is dense or in 4 bits. The 4-bit one is dequantised a panel of output rows at a time,
//! into memory that is used again: however large the weight, a few megabytes.

mod few_rows;

use super::dropout::Dropout;
use crate::nn::ops::cpu::{Disjoint, Mat, MatMut, Threads, fill, product, product_into, skinny_product};
use crate::nn::quant::Nf4;

/// The values of a weight (out, in).
#[derive(Clone, Copy)]
pub(super) enum Weight<'a> {
    Dense(&'a [f32]),
    Nf4(&'a Nf4),
}

/// The values of an adapter.
pub(super) struct Low<'a> {
    pub(super) a: &'a [f32],
    pub(super) b: &'a [f32],
    pub(super) rank: usize,
    pub(super) scale: f32,
    pub(super) dropout: Option<Dropout>,
}

/// Values of a dequantised panel: 1 MiB, which stays in a core's cache.
const PANEL: usize = 1 << 18;
/// Up to so many rows each weight is used while it is still in a register.
const FEW: usize = 8;

/// Output rows of a panel: all panels about the same, for a narrow last one would cost as much as a whole one.
fn panel_rows((out, wide): (usize, usize)) -> usize {
    let most = (PANEL / wide.max(1)).clamp(128, 1024);
    out.div_ceil(out.div_ceil(most).max(1)).max(1).next_multiple_of(16)
}

/// `x Wᵀ + s · drop(x) Aᵀ Bᵀ`: x (rows, in) -> (rows, out).
pub(super) fn forward(
    x: &[f32],
    rows: usize,
    weight: Weight<'_>,
    shape: (usize, usize),
    low: Option<&Low<'_>>,
) -> Vec<f32> {
    let (out, wide) = shape;
    let xs = Mat::new(x, rows, wide);
    let mut y = match weight {
        Weight::Dense(w) => product(xs, Mat::new(w, out, wide).t(), 1.0),
        Weight::Nf4(w) if rows <= FEW => few_rows::product(x, rows, w),
        Weight::Nf4(w) => forward_nf4(xs, rows, w),
    };
    if let Some(low) = low {
        let u = squeezed(x, rows, wide, low).1;
        let b = Mat::new(low.b, out, low.rank);
        product_into(
            MatMut::new(&mut y, rows, out),
            Mat::new(&u, rows, low.rank),
            b.t(),
            low.scale,
            true,
            Threads::All,
        );
    }
    y
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
                product_into(y, x, Mat::new(panel, n, wide).t(), 1.0, false, Threads::All);
            }
        })
    }
}

/// `dy W`: dy (rows, out) -> (rows, in).
pub(super) fn input_gradient(dy: &[f32], rows: usize, weight: Weight<'_>, (out, wide): (usize, usize)) -> Vec<f32> {
    let w = match weight {
        Weight::Dense(w) => return product(Mat::new(dy, rows, out), Mat::new(w, out, wide), 1.0),
        Weight::Nf4(w) => w,
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
                product_into(dx, dy, Mat::new(panel, n, wide), 1.0, first > 0, Threads::All);
            }
        })
    }
}

/// `dyᵀ x`: dy (rows, out), x (rows, in) -> (out, in).
pub(super) fn weight_gradient(dy: &[f32], rows: usize, x: &[f32], (out, wide): (usize, usize)) -> Vec<f32> {
    product(Mat::new(dy, rows, out).t(), Mat::new(x, rows, wide), 1.0)
}

/// dA (r, in) and dB (out, r); the adapter's part of the input gradient is added to `dx`.
pub(super) fn low_gradients(
    dy: &[f32],
    rows: usize,
    x: &[f32],
    (out, wide): (usize, usize),
    low: &Low<'_>,
    dx: Option<&mut [f32]>,
) -> (Vec<f32>, Vec<f32>) {
    let rank = low.rank;
    let (dropped, u) = squeezed(x, rows, wide, low);
    let dy = Mat::new(dy, rows, out);
    let v = skinny_product(dy, Mat::new(low.b, out, rank), low.scale); // (rows, r)
    let vs = Mat::new(&v, rows, rank);
    let da = product(vs.t(), Mat::new(dropped.as_deref().unwrap_or(x), rows, wide), 1.0);
    // dBᵀ, because then the long side lies along memory; it is small, and turning it costs nothing.
    let db = product(Mat::new(&u, rows, rank).t(), dy, low.scale);
    if let Some(dx) = dx {
        let a = Mat::new(low.a, rank, wide);
        match &low.dropout {
            None => product_into(MatMut::new(dx, rows, wide), vs, a, 1.0, true, Threads::All),
            Some(dropout) => dropout.add(&mut product(vs, a, 1.0), dx),
        }
    }
    (da, turned(&db, rank, out))
}

/// `drop(x)` when something is dropped, and `drop(x) Aᵀ` (rows, r).
fn squeezed(x: &[f32], rows: usize, wide: usize, low: &Low<'_>) -> (Option<Vec<f32>>, Vec<f32>) {
    let dropped = low.dropout.map(|dropout| dropout.apply(x));
    let xs = Mat::new(dropped.as_deref().unwrap_or(x), rows, wide);
    let u = skinny_product(xs, Mat::new(low.a, low.rank, wide).t(), 1.0);
    (dropped, u)
}

/// The transpose of a row-major matrix.
fn turned(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..cols).flat_map(|j| (0..rows).map(move |i| x[i * cols + j])).collect()
}
