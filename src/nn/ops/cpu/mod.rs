//! What the CPU paths of all ops stand on: borrowed memory of tensors, matrix products, vector
//! arithmetic, threads that stay awake.

mod elementwise;
mod gemm;
mod gemm_narrow;
mod gemm_short;
mod isa;
mod memory;
mod operand;
mod prefetch;
mod simd;
mod spin_pool;
#[cfg(target_arch = "x86_64")]
mod tiled;
#[cfg(not(target_arch = "x86_64"))]
mod tiled {
    //! Tiled products are written for AVX-512; elsewhere there are none.

    use super::{MatMut, Term};
    use crate::nn::Precision;

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

pub(in crate::nn) use elementwise::{binary, binary_backward, unary, unary_backward};
pub(in crate::nn) use gemm::{Mat, MatMut, product, product_into};
pub(in crate::nn) use gemm_narrow::gemm_narrow;
pub(in crate::nn) use gemm_short::gemm_short;
pub(in crate::nn) use isa::Isa;
#[cfg(test)]
pub(in crate::nn) use isa::{on_isa, skip};
pub(in crate::nn) use memory::{Disjoint, Floats, fill, floats, floats_of};
pub(in crate::nn) use operand::{Right, Term};
/// Rows from which on arithmetic is the limit of products, and no longer the memory of their weights.
pub(in crate::nn::ops) const MANY: usize = 4;

pub(in crate::nn::ops) use prefetch::{Fetch, Prefetch};
pub(in crate::nn) use simd::{dot, exp, for_each_isa, sum};
pub(in crate::nn) use spin_pool::SpinPool;
pub(in crate::nn) use tiled::{available as tiles_available, pays, peak, tiled_product};
