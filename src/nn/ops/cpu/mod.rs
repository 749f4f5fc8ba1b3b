//! What the CPU paths of all ops stand on: borrowed memory of tensors, matrix products, vector arithmetic.

mod gemm;
mod isa;
mod memory;
mod simd;
mod skinny;

pub(in crate::nn) use gemm::{Mat, MatMut, Threads, product, product_into};
pub(in crate::nn) use isa::Isa;
#[cfg(test)]
pub(in crate::nn) use isa::on_isa;
pub(in crate::nn) use memory::{Disjoint, fill, floats, floats_of, input};
pub(in crate::nn) use simd::{dot, exp, for_each_isa, sum};
pub(in crate::nn) use skinny::skinny_product;
