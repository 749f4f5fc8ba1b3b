//! The hot ops, each a folder: formula and gradient in `mod.rs`, the CPU in `cpu.rs`, and a naive twin made of plain
//! candle ops that the tests hold it equal to, forward and backward.
//!
//! All take f32 tensors (a tensor that is not contiguous is copied) and an
//! [`Interrupt`](crate::interrupt::Interrupt) that is asked once a call, forward and backward. Results do not depend on
//! the number of threads.

mod adamw;
mod attention;
pub(in crate::nn) mod cpu;
mod cross_entropy;
#[cfg(feature = "cuda")]
pub(in crate::nn) mod cuda;
mod embedding;
mod linear;
mod rms_norm;
mod rope;
mod swiglu;
#[cfg(test)]
pub(in crate::nn) mod twin;

pub use adamw::{
    AdamWStep, DeviceMoments, DeviceMoments8, EightBitMaps, EightBitStep, adamw_step, square_norm, square_norms,
};
pub use attention::{AttentionShape, attention};
pub use cross_entropy::cross_entropy;
pub use embedding::embedding;
pub use linear::{Adapter, Frozen, linear, linear_in, lora_linear, lora_linear_in};
pub use rms_norm::rms_norm;
pub use rope::rope;
pub use swiglu::swiglu;
