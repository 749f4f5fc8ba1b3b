//! Element-wise functions of one or two tensors, in tasks of some thousand elements.

use rayon::prelude::*;

use super::memory::{Disjoint, fill};

/// Elements of a task.
const CHUNK: usize = 1 << 14;

/// The function `part` applied to parts of `x`.
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

/// The gradient of `x`, in its memory: `part` gets parts of `dy` and x, and overwrites x.
pub(in crate::nn) fn unary_backward(dy: &[f32], mut x: Vec<f32>, part: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f32> {
    x.par_chunks_mut(CHUNK).zip(dy.par_chunks(CHUNK)).for_each(|(x, dy)| part(dy, x));
    x
}

/// The function `part` applied to parts of `x` and `y` at the same indices.
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

/// The gradients of `x` and `y`, in their memory: `part` gets parts of `dy`, x and y, and overwrites x and y.
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
