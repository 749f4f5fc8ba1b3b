//! 4-bit NormalFloat weights with double quantisation (Dettmers et al. 2023, arXiv:2305.14314), byte for byte as
//! bitsandbytes stores them.

mod cpu;
mod mean;
mod nf4;
mod quantize;
mod tables;

pub use nf4::Nf4;
pub use tables::{NESTED_MAP, NF4_MAP};
