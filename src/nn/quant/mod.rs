//! 4-bit NormalFloat weights with double quantisation (Dettmers et al. 2023, arXiv:2305.14314), byte for byte as
//! bitsandbytes stores them.

mod codes;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod dequantize;
mod mean;
mod mirror;
mod nested;
mod nf4;
#[cfg(feature = "cuda")]
pub(in crate::nn) mod on_device;
mod quantize;
mod scales;
mod tables;

pub(in crate::nn) use mirror::Mirror;
pub use nf4::Nf4;
pub use tables::{NESTED_MAP, NF4_MAP};
