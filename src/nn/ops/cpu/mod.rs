//! What the CPU paths of all ops stand on: borrowed memory of tensors, matrix products, vector
//! arithmetic, threads that stay awake.

mod ahead;
mod gemm;
mod isa;
mod memory;
mod operand;
mod pairs;
mod simd;
mod skinny;
mod team;
mod thin;
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

pub(in crate::nn::ops) use ahead::{Ahead, Fetch};
pub(in crate::nn) use gemm::{Mat, MatMut, product, product_into};
pub(in crate::nn) use isa::Isa;
#[cfg(test)]
pub(in crate::nn) use isa::on_isa;
pub(in crate::nn) use memory::{Disjoint, Floats, fill, floats, floats_of, input, owned};
pub(in crate::nn) use operand::{Right, Term};
pub(in crate::nn) use pairs::{pairs, pairs_backward};
pub(in crate::nn) use simd::{dot, exp, for_each_isa, sum};
pub(in crate::nn) use skinny::skinny_product;
pub(in crate::nn) use team::Team;
pub(in crate::nn) use thin::thin_product;
pub(in crate::nn) use tiled::{available as tiles_available, pays, peak, tiled_product};
