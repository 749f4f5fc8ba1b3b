//! The ops, a folder for each: formula and gradient in `mod.rs`, the CPU path in `cpu.rs`, the GPU path in `cuda.rs`,
//! and a naive reference made of plain candle ops, to which tests compare it, forward and backward.
//!
//! All take f32 tensors (a tensor that is not contiguous is copied) and an [`Interrupt`](crate::interrupt::Interrupt)
//! that is checked once a call, forward and backward. Results do not depend on the number of threads.

mod activation;
mod adamw;
mod add;
mod attention;
mod column_scale;
mod columns;
mod cross_entropy;
#[cfg(feature = "cuda")]
pub(in crate::nn) mod cuda;
pub(in crate::nn) mod decode;
mod embedding;
mod hardware_precision;
mod input;
mod kv_buffer;
mod layer_norm;
mod linear;
#[cfg(test)]
pub(in crate::nn) mod reference;
mod replace_rows;
mod rms_norm;
mod rope;
mod scale;
mod swiglu;
mod tiled;

pub use activation::{Activation, activate, gated};
pub use adamw::{
    AdamWStep, DeviceMoments, DeviceMoments8, DeviceUpdate, EightBitMaps, EightBitStep, adamw_step, scale_in_place,
    square_norm, square_norms,
};
pub use add::add;
pub use attention::{
    AttentionOptions, AttentionShape, PackedSequences, RelativeBuckets, attention, attention_with, relative_bias,
    unpadded,
};
pub use column_scale::scale_columns;
pub use columns::columns;
pub use cross_entropy::cross_entropy;
pub(crate) use decode::ComposedUpdate;
pub(in crate::nn) use decode::{BlockRef, Decoder, LinearRef, MatrixRef, NormRef, UpdateRef, decode_step};
pub use embedding::embedding;
pub(in crate::nn) use kv_buffer::{KvBuffer, KvFormat};
pub use layer_norm::layer_norm;
pub(in crate::nn) use linear::Prepacked;
pub use linear::{Adapter, Frozen, add_bias, dropout, linear, lora_linear};
pub use replace_rows::replace_rows;
pub use rms_norm::rms_norm;
pub use rope::{RopeScaling, Rotary, rope};
pub use scale::scale;
pub use swiglu::swiglu;

/// The same values in another shape, as a view if the strides allow it.
///
/// # Errors
/// A shape of another number of elements.
pub fn reshape(
    x: &candle_core::Tensor,
    shape: impl Into<candle_core::Shape>,
) -> crate::error::Result<candle_core::Tensor> {
    super::autograd::apply_reshape(x, shape)
}
