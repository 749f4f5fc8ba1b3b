//! The gate, element by element, some thousand elements a task.

use rayon::prelude::*;

use crate::nn::ops::cpu::{Disjoint, exp, fill, for_each_isa};

/// Elements of a task.
const CHUNK: usize = 1 << 14;

/// `silu(gate) · up`.
pub(super) fn forward(gate: &[f32], up: &[f32]) -> Vec<f32> {
    // SAFETY: the chunks are disjoint and cover the output; every element is written.
    unsafe {
        fill(gate.len(), |out| {
            let out = Disjoint::uninit(out);
            gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK)).enumerate().for_each(|(i, (gate, up))| {
                forward_part(gate, up, out.part(i * CHUNK..i * CHUNK + gate.len()));
            });
        })
    }
}

/// The gradients of gate and up.
pub(super) fn backward(gate: &[f32], up: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut dup = Vec::new();
    // SAFETY: as in `forward`, for both outputs.
    let dgate = unsafe {
        fill(gate.len(), |dgate| {
            let dgate = Disjoint::uninit(dgate);
            dup = fill(gate.len(), |dup| {
                let dup = Disjoint::uninit(dup);
                let parts = gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK)).zip(dy.par_chunks(CHUNK));
                parts.enumerate().for_each(|(i, ((gate, up), dy))| {
                    let at = i * CHUNK..i * CHUNK + gate.len();
                    backward_part((gate, up, dy), dgate.part(at.clone()), dup.part(at));
                });
            });
        })
    };
    (dgate, dup)
}

for_each_isa! {
    fn forward_part(gate: &[f32], up: &[f32], out: &mut [f32]) {
        for ((out, &g), &u) in out.iter_mut().zip(gate).zip(up) {
            *out = g / (1.0 + exp(-g)) * u;
        }
    }
}

for_each_isa! {
    fn backward_part(given: (&[f32], &[f32], &[f32]), dgate: &mut [f32], dup: &mut [f32]) {
        let (gate, up, dy) = given;
        let values = gate.iter().zip(up).zip(dy);
        for ((((&g, &u), &dy), dgate), dup) in values.zip(dgate).zip(dup) {
            let sigma = 1.0 / (1.0 + exp(-g));
            let silu = g * sigma;
            *dup = dy * silu;
            *dgate = dy * u * (sigma + silu * (1.0 - sigma));
        }
    }
}
