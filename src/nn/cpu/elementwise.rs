//! Functions of one or two tensors element by element, some thousand elements a task.

use rayon::prelude::*;

use super::memory::{Disjoint, fill};

/// Elements of a task.
const CHUNK: usize = 1 << 14;

/// What `part` makes of parts of `x`.
///
/// # Safety
/// `part` must write every element of its last argument and read none.
pub(in crate::nn) unsafe fn unary(x: &[f32], part: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f32> {
    // SAFETY: the chunks are disjoint and cover the output; the caller promises that every element is written.
    unsafe {
        fill(x.len(), |out| {
            let out = Disjoint::uninit(out);
            x.par_chunks(CHUNK).enumerate().for_each(|(i, x)| part(x, out.part(i * CHUNK..i * CHUNK + x.len())));
        })
    }
}

/// The gradient of `x`, in its memory: `part` gets parts of `dy` and x, and writes over the latter.
pub(in crate::nn) fn unary_backward(dy: &[f32], mut x: Vec<f32>, part: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f32> {
    x.par_chunks_mut(CHUNK).zip(dy.par_chunks(CHUNK)).for_each(|(x, dy)| part(dy, x));
    x
}

/// What `part` makes of parts of `x` and `y` that lie at the same places.
///
/// # Safety
/// `part` must write every element of its last argument and read none.
pub(in crate::nn) unsafe fn binary(x: &[f32], y: &[f32], part: impl Fn(&[f32], &[f32], &mut [f32]) + Sync) -> Vec<f32> {
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

/// The gradients of `x` and `y`, where these were: `part` gets parts of `dy`, x and y, and writes over the latter two.
pub(in crate::nn) fn binary_backward(
    dy: &[f32],
    mut x: Vec<f32>,
    mut y: Vec<f32>,
    part: impl Fn(&[f32], &mut [f32], &mut [f32]) + Sync,
) -> (Vec<f32>, Vec<f32>) {
    let parts = x.par_chunks_mut(CHUNK).zip(y.par_chunks_mut(CHUNK)).zip(dy.par_chunks(CHUNK));
    parts.for_each(|((x, y), dy)| part(dy, x, y));
    (x, y)
}
