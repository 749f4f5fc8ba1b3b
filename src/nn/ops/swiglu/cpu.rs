//! SwiGLU on the CPU, element by element.

use crate::nn::cpu::{binary, binary_backward, exp, for_each_isa};

/// `silu(gate) · up`.
pub(super) fn forward(gate: &[f32], up: &[f32]) -> Vec<f32> {
    // SAFETY: `forward_part` writes each element.
    unsafe { binary(gate, up, forward_part) }
}

/// The gradients of gate and up.
pub(super) fn backward(gate: Vec<f32>, up: Vec<f32>, dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    binary_backward(dy, gate, up, backward_part)
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
    fn backward_part(dy: &[f32], gate: &mut [f32], up: &mut [f32]) {
        for ((gate, up), &dy) in gate.iter_mut().zip(up).zip(dy) {
            let (g, u) = (*gate, *up);
            let sigma = 1.0 / (1.0 + exp(-g));
            let silu = g * sigma;
            *up = dy * silu;
            *gate = dy * u * (sigma + silu * (1.0 - sigma));
        }
    }
}
