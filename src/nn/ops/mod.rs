//! The hot ops, each a folder: formula and gradient in `mod.rs`, the CPU in `cpu.rs`, and a naive twin made of plain
//! candle ops that the tests hold it equal to, forward and backward.
//!
//! All take contiguous f32 tensors and an [`Interrupt`](crate::interrupt::Interrupt) that is asked once a call.

mod attention;
mod cross_entropy;
mod linear;
mod rms_norm;
mod rope;
mod swiglu;

pub use attention::{AttentionShape, attention};
pub use cross_entropy::cross_entropy;
pub use linear::{Adapter, Frozen, linear, lora_linear};
pub use rms_norm::rms_norm;
pub use rope::rope;
pub use swiglu::swiglu;
