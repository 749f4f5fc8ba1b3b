//! The gate, element by element.

use super::Gelu;
use crate::nn::ops::cpu::{exp, for_each_isa, pairs, pairs_backward};

/// `gelu(gate) · up`.
pub(super) fn forward(gate: &[f32], up: &[f32], gelu: Gelu) -> Vec<f32> {
    let part = match gelu {
        Gelu::Erf => forward_erf,
        Gelu::Tanh => forward_tanh,
    };
    // SAFETY: both write each element.
    unsafe { pairs(gate, up, part) }
}

/// The gradients of gate and up.
pub(super) fn backward(gate: Vec<f32>, up: Vec<f32>, dy: &[f32], gelu: Gelu) -> (Vec<f32>, Vec<f32>) {
    let part = match gelu {
        Gelu::Erf => backward_erf,
        Gelu::Tanh => backward_tanh,
    };
    pairs_backward(dy, gate, up, part)
}

/// Φ(x), and the slope of `x Φ(x)`.
///
/// With `z = |x| / √2` and `t = 1 / (1 + z / 2)`, `erfc(z) = t e^(−z²) P(t)`: P is minimax in relative error for z up to
/// 9.6 (Remez, 4·10⁻⁸), beyond which `e^(−z²)` is 0 in f32. So Φ keeps its digits where it is small.
#[inline(always)]
fn erf(x: f32) -> (f32, f32) {
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
fn tanh(x: f32) -> (f32, f32) {
    const ROOT: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2; // 2 √(2/π)
    let x = x.clamp(-20.0, 20.0); // beyond, σ is 0 or 1, and x³ may overflow
    let share = 1.0 / (1.0 + exp(-ROOT * x * (1.0 + 0.044_715 * x * x)));
    (share, share + x * share * (1.0 - share) * ROOT * (1.0 + 3.0 * 0.044_715 * x * x))
}

/// The two functions of a Φ.
macro_rules! gate {
    ($forward:ident, $backward:ident, $share:ident) => {
        for_each_isa! {
            fn $forward(gate: &[f32], up: &[f32], out: &mut [f32]) {
                for ((out, &g), &u) in out.iter_mut().zip(gate).zip(up) {
                    *out = g * $share(g).0 * u;
                }
            }
        }

        for_each_isa! {
            fn $backward(dy: &[f32], gate: &mut [f32], up: &mut [f32]) {
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

gate!(forward_erf, backward_erf, erf);
gate!(forward_tanh, backward_tanh, tanh);
