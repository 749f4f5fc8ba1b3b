//! The gate, element by element.

use crate::nn::ops::cpu::{exp, for_each_isa, pairs, pairs_backward};

/// `silu(gate) · up`.
pub(super) fn forward(gate: &[f32], up: &[f32]) -> Vec<f32> {
    // SAFETY: `forward_part` writes each element.
    unsafe { pairs(gate, up, forward_part) }
}

/// The gradients of gate and up.
pub(super) fn backward(gate: &[f32], up: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    // SAFETY: `backward_part` writes each element of both.
    unsafe { pairs_backward((gate, up, dy), backward_part) }
}

for_each_isa! {
    /// As [`forward`], on the calling thread.
    pub(in crate::nn::ops) fn forward_part(gate: &[f32], up: &[f32], out: &mut [f32]) {
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
