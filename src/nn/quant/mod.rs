//! 4-bit NormalFloat weights with double quantisation (Dettmers et al. 2023, arXiv:2305.14314), byte for byte as
//! bitsandbytes stores them.

mod nf4;

pub use nf4::Nf4;
