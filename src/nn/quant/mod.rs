//! 4-bit NormalFloat weights with double quantisation (Dettmers et al. 2023, arXiv:2305.14314), byte for byte as
//! bitsandbytes stores them.

mod codes;
mod cpu;
#[cfg(feature = "cuda")]
pub(in crate::nn) mod cuda;
mod mean;
mod mirror;
mod nf4;
mod quantize;
mod scales;
mod tables;

pub(in crate::nn) use mirror::Mirror;
pub use nf4::Nf4;
pub use tables::{NESTED_MAP, NF4_MAP};
