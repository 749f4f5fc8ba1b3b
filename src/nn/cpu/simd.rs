//! Vector arithmetic, compiled for each instruction set and chosen at run time.
//!
//! Loops are written over plain slices with a fixed number of lanes and no fused multiply–add, so that every
//! instruction set gives the same bits.

/// Compiles a function for AVX-512, AVX2 and the baseline, and picks at run time.
macro_rules! for_each_isa {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                match $crate::nn::cpu::Isa::get() {
                    // SAFETY: this machine has the features of the instruction set it is on.
                    $crate::nn::cpu::Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::nn::cpu::Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::nn::cpu::Isa::Portable => {}
                }
            }
            body($($arg),*)
        }
    };
}
pub(in crate::nn) use for_each_isa;

/// Partial sums kept side by side.
const LANES: usize = 32;

/// Sums the lanes by halves; unrolled, since a loop over widths would go through memory.
#[inline(always)]
fn fold(lanes: [f32; LANES]) -> f32 {
    let a: [f32; 16] = std::array::from_fn(|i| lanes[i] + lanes[i + 16]);
    let b: [f32; 8] = std::array::from_fn(|i| a[i] + a[i + 8]);
    let c: [f32; 4] = std::array::from_fn(|i| b[i] + b[i + 4]);
    (c[0] + c[2]) + (c[1] + c[3])
}

/// Σ aᵢ, in 32 lanes; call it inside [`for_each_isa`].
#[inline(always)]
pub(in crate::nn) fn sum(a: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = a.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] += chunk[i];
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += x;
    }
    fold(lanes)
}

/// Σ aᵢ bᵢ, in 32 lanes; call it inside [`for_each_isa`].
#[inline(always)]
pub(in crate::nn) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            lanes[i] += a[i] * b[i];
        }
    }
    for ((lane, x), y) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += x * y;
    }
    fold(lanes)
}

/// eˣ within 2 ulp, without a branch; below −87 it is 0, NaN stays NaN. Coefficients: minimax on [−ln 2 / 2, ln 2 / 2]
/// (Cephes, S. Moshier).
#[inline(always)]
pub(in crate::nn) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it leaves the nearest integer in the low bits
    let bounded = if x > 88.0 { 88.0 } else { x };
    let shifted = bounded * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = bounded - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5.000_000_3e-1;
    let y = p * (r * r) + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.0 { 0.0 } else { y * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_ulp() {
        let mut worst = 0.0f64;
        for i in -870_000..880_000 {
            let x = i as f32 / 10_000.0;
            let truth = f64::from(x).exp();
            let ulp = f64::from(truth as f32) * f64::from(f32::EPSILON);
            worst = worst.max((f64::from(exp(x)) - truth).abs() / ulp);
        }
        assert!(worst < 2.0, "{worst} ulp");
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

    for_each_isa! {
        fn dot_here(a: &[f32], b: &[f32]) -> f32 { dot(a, b) }
    }

    #[test]
    fn every_instruction_set_sums_in_the_same_order() {
        let a: Vec<f32> = (0..1001).map(|i| (i as f32).sin()).collect();
        for n in [0, 1, 31, 32, 33, 1001] {
            assert_eq!(dot_here(&a[..n], &a[..n]).to_bits(), dot(&a[..n], &a[..n]).to_bits());
            let naive: f32 = a[..n].iter().sum();
            assert!((sum(&a[..n]) - naive).abs() < 1e-4);
        }
    }
}
