//! Activations on slices, element by element.

use super::Activation;
use crate::nn::cpu::{binary, binary_backward, exp, for_each_isa, unary, unary_backward};

/// `f(x)`.
pub(super) fn forward(x: &[f32], activation: Activation) -> Vec<f32> {
    let part = match activation {
        Activation::Relu => forward_relu,
        Activation::Silu => forward_silu,
        Activation::Gelu => forward_gelu,
        Activation::GeluTanh => forward_gelu_tanh,
    };
    // SAFETY: each of them writes every element and reads none.
    unsafe { unary(x, part) }
}

/// `dy · f'(x)`, in the memory of x.
pub(super) fn backward(x: Vec<f32>, dy: &[f32], activation: Activation) -> Vec<f32> {
    let part = match activation {
        Activation::Relu => backward_relu,
        Activation::Silu => backward_silu,
        Activation::Gelu => backward_gelu,
        Activation::GeluTanh => backward_gelu_tanh,
    };
    unary_backward(dy, x, part)
}

/// `f(gate) · up`.
pub(super) fn gated_forward(gate: &[f32], up: &[f32], activation: Activation) -> Vec<f32> {
    let part = match activation {
        Activation::Relu => gated_forward_relu,
        Activation::Silu => gated_forward_silu,
        Activation::Gelu => gated_forward_gelu,
        Activation::GeluTanh => gated_forward_gelu_tanh,
    };
    // SAFETY: as in `forward`.
    unsafe { binary(gate, up, part) }
}

/// The gradients of gate and up.
pub(super) fn gated_backward(gate: Vec<f32>, up: Vec<f32>, dy: &[f32], activation: Activation) -> (Vec<f32>, Vec<f32>) {
    let part = match activation {
        Activation::Relu => gated_backward_relu,
        Activation::Silu => gated_backward_silu,
        Activation::Gelu => gated_backward_gelu,
        Activation::GeluTanh => gated_backward_gelu_tanh,
    };
    binary_backward(dy, gate, up, part)
}

/// 1 for positive x, else 0, which is the slope, too.
#[inline(always)]
fn relu(x: f32) -> (f32, f32) {
    let share = if x > 0.0 { 1.0 } else { 0.0 };
    (share, share)
}

/// σ(x), and the slope of `x σ(x)`.
#[inline(always)]
fn silu(x: f32) -> (f32, f32) {
    let share = 1.0 / (1.0 + exp(-x));
    (share, share + x * share * (1.0 - share))
}

/// Φ(x) of the normal distribution, and the slope of `x Φ(x)`.
///
/// With `z = |x| / √2` and `t = 1 / (1 + z / 2)`, `erfc(z) = t e^(−z²) P(t)`: P is minimax in relative error for z up to
/// 9.6 (Remez, 4·10⁻⁸), beyond which `e^(−z²)` is 0 in f32. So Φ keeps its digits where it is small.
#[inline(always)]
fn gelu(x: f32) -> (f32, f32) {
    const P: [f32; 9] = [
        -5.894_226e-2,
        2.839_544_3e-1,
        -4.859_095_3e-1,
        2.765_838e-1,
        -2.559_814_6e-2,
        2.022_493_6e-1,
        2.432_151_5e-1,
        2.823_598_7e-1,
        2.820_873e-1,
    ];
    let x = x.clamp(-20.0, 20.0); // beyond, Φ is 0 or 1, and x² may overflow
    let t = 1.0 / (1.0 + x.abs() * (0.5 * std::f32::consts::FRAC_1_SQRT_2));
    let bell = exp(-0.5 * x * x);
    let mut p = P[0];
    for c in &P[1..] {
        p = p * t + c;
    }
    let tail = 0.5 * t * bell * p;
    let share = if x > 0.0 { 1.0 - tail } else { tail };
    (share, share + x * bell * (0.5 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2))
}

/// σ(2u), and the slope of `x σ(2u)`.
#[inline(always)]
fn gelu_tanh(x: f32) -> (f32, f32) {
    const ROOT: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2; // 2 √(2/π)
    let x = x.clamp(-20.0, 20.0); // beyond, σ is 0 or 1, and x³ may overflow
    let share = 1.0 / (1.0 + exp(-ROOT * x * (1.0 + 0.044_715 * x * x)));
    (share, share + x * share * (1.0 - share) * ROOT * (1.0 + 3.0 * 0.044_715 * x * x))
}

/// The four functions of a share.
macro_rules! activation {
    ($share:ident: $forward:ident, $backward:ident, $gated_forward:ident, $gated_backward:ident) => {
        for_each_isa! {
            fn $forward(x: &[f32], out: &mut [f32]) {
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = x * $share(x).0;
                }
            }
        }

        for_each_isa! {
            fn $backward(dy: &[f32], x: &mut [f32]) {
                for (x, &dy) in x.iter_mut().zip(dy) {
                    *x = dy * $share(*x).1;
                }
            }
        }

        for_each_isa! {
            fn $gated_forward(gate: &[f32], up: &[f32], out: &mut [f32]) {
                for ((out, &g), &u) in out.iter_mut().zip(gate).zip(up) {
                    *out = g * $share(g).0 * u;
                }
            }
        }

        for_each_isa! {
            fn $gated_backward(dy: &[f32], gate: &mut [f32], up: &mut [f32]) {
                for ((gate, up), &dy) in gate.iter_mut().zip(up).zip(dy) {
                    let (g, u) = (*gate, *up);
                    let (share, slope) = $share(g);
                    *up = dy * g * share;
                    *gate = dy * u * slope;
                }
            }
        }
    };
}

activation!(relu: forward_relu, backward_relu, gated_forward_relu, gated_backward_relu);
activation!(silu: forward_silu, backward_silu, gated_forward_silu, gated_backward_silu);
activation!(gelu: forward_gelu, backward_gelu, gated_forward_gelu, gated_backward_gelu);
activation!(gelu_tanh: forward_gelu_tanh, backward_gelu_tanh, gated_forward_gelu_tanh, gated_backward_gelu_tanh);
