//! Sums of matrix products with f32, bf16, f16 and 4-bit operands: AVX-512 only, see `avx512`.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod operand;
#[cfg(not(target_arch = "x86_64"))]
mod avx512 {
    //! Stubs for other architectures: tiled products are written for AVX-512.

    use super::Term;
    use crate::nn::Precision;
    use crate::nn::cpu::MatMut;

    pub(in crate::nn) fn available() -> bool {
        false
    }

    pub(in crate::nn) fn pays() -> Precision {
        Precision::F32
    }

    pub(in crate::nn) fn peak(_: Precision) -> Option<f64> {
        None
    }

    pub(in crate::nn) fn tiled_product(_: MatMut<'_>, _: &[Term<'_>], _: bool, _: Precision) {
        unreachable!("asked for without available()")
    }
}

pub(in crate::nn) use avx512::{available as tiles_available, pays, peak, tiled_product};
pub(in crate::nn) use operand::{Right, Term};
