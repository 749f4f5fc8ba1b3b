//! The interface of fused decoders, which run one position through all layers as one op.

use candle_core::Tensor;

use super::Transformer;
use crate::error::Result;
use crate::nn::kv_cache::Cache;
use crate::nn::ops::Activation;
use crate::nn::{ArchSpec, AttentionScale, Biases, ForwardCtx, MlpKind, NormKind, Positions};

/// A decoder for one position at a time and some architectures; equal to the general path up to the order of sums.
pub(crate) trait FusedDecode {
    /// Whether it supports the architecture.
    fn supports(spec: &ArchSpec) -> bool;

    /// Takes new ids (batch, new) into the cache, one after the other; logits of the last, (batch, vocabulary). `None` when
    /// it cannot take that number of rows or weights in that format.
    ///
    /// # Errors
    /// `interrupted`, when the user cancels; the cache is then as it was.
    fn step(model: &Transformer, tokens: &Tensor, cache: &mut Cache, ctx: &ForwardCtx) -> Result<Option<Tensor>>;
}

/// Whether the parts are those of LLaMA: RMSNorm, rotary positions, SwiGLU, no biases.
pub(super) fn is_llama(spec: &ArchSpec) -> bool {
    let stack = &spec.decoder;
    spec.encoder.is_none()
        && spec.head_scale.is_none()
        && matches!(stack.norm, NormKind::Rms { .. })
        && matches!(stack.positions, Positions::Rotary(_))
        && stack.mlp == MlpKind::Gated(Activation::Silu)
        && stack.bias == Biases::default()
        && stack.attention_scale == AttentionScale::USUAL
        && !stack.fused_qkv
}
