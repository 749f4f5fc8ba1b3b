//! Two tensors met element by element, some thousand elements a task.

use rayon::prelude::*;

use super::memory::{Disjoint, fill};

/// Elements of a task.
const CHUNK: usize = 1 << 14;

/// What `part` makes of parts of `x` and `y` that lie at the same places.
///
/// # Safety
/// `part` must write every element of its last argument and read none.
pub(in crate::nn) unsafe fn pairs(x: &[f32], y: &[f32], part: impl Fn(&[f32], &[f32], &mut [f32]) + Sync) -> Vec<f32> {
    // SAFETY: the chunks are disjoint and cover the output; the caller promises that every element is written.
    unsafe {
        fill(x.len(), |out| {
            let out = Disjoint::uninit(out);
            x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK)).enumerate().for_each(|(i, (x, y))| {
                part(x, y, out.part(i * CHUNK..i * CHUNK + x.len()));
            });
        })
    }
}

/// The gradients of `x` and `y` that `part` makes of both and of `dy`.
///
/// # Safety
/// `part` must write every element of its last two arguments and read none.
pub(in crate::nn) unsafe fn pairs_backward(
    (x, y, dy): (&[f32], &[f32], &[f32]),
    part: impl Fn((&[f32], &[f32], &[f32]), &mut [f32], &mut [f32]) + Sync,
) -> (Vec<f32>, Vec<f32>) {
    let mut second = Vec::new();
    // SAFETY: as in `pairs`, for both outputs.
    let first = unsafe {
        fill(x.len(), |dx| {
            let dx = Disjoint::uninit(dx);
            second = fill(x.len(), |other| {
                let other = Disjoint::uninit(other);
                let parts = x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK)).zip(dy.par_chunks(CHUNK));
                parts.enumerate().for_each(|(i, ((x, y), dy))| {
                    let at = i * CHUNK..i * CHUNK + x.len();
                    part((x, y, dy), dx.part(at.clone()), other.part(at));
                });
            });
        })
    };
    (first, second)
}
