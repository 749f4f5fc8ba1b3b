//! Building blocks of the CPU paths of ops and of 4-bit weights: tensor memory, matrix products, vector arithmetic, a
//! pool of spinning threads.

mod elementwise;
mod gemm;
mod gemm_narrow;
mod gemm_short;
mod isa;
mod memory;
mod prefetch;
mod simd;
mod spin_pool;

pub(in crate::nn) use elementwise::{binary, binary_backward, unary, unary_backward};
pub(in crate::nn) use gemm::{Mat, MatMut, product, product_into};
pub(in crate::nn) use gemm_narrow::gemm_narrow;
pub(in crate::nn) use gemm_short::gemm_short;
pub(in crate::nn) use isa::Isa;
#[cfg(test)]
pub(in crate::nn) use isa::{on_isa, skip};
pub(in crate::nn) use memory::{Disjoint, Floats, fill, floats, floats_of};
pub(in crate::nn) use prefetch::{Fetch, Prefetch};
pub(in crate::nn) use simd::{dot, exp, for_each_isa, sum};
pub(in crate::nn) use spin_pool::SpinPool;

/// From this number of rows on, products are limited by arithmetic rather than by reading the weights.
pub(in crate::nn) const MANY: usize = 4;
