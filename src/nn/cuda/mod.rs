//! Building blocks of the GPU paths of ops and of 4-bit weights: kernels compiled at first use, tensor memory on the
//! device, products by cuBLAS, errors with remedies.
//!
//! All work is queued on one stream, and the host does not wait for it. Sums have a fixed order (no atomics), so that a
//! run can be repeated to the bit.

mod blas;
mod compile;
mod gpu_error;
mod in_place;
mod kernels;
mod memory;
mod peak;
mod source;
mod start;

pub(in crate::nn) use blas::{CudaMat, CudaProduct, product};
pub(in crate::nn) use gpu_error::{fault, remedy};
pub(in crate::nn) use in_place::in_place;
pub(in crate::nn) use kernels::{Kernel, blocks, elements, kernel, launch};
pub(in crate::nn) use memory::{alloc, gpu, held, held_from, host, tensor, upload};
pub(in crate::nn) use peak::peak;
pub(in crate::nn) use source::{KernelSource, source};
pub(in crate::nn) use start::{open, peak_memory, reset_peak_memory};
