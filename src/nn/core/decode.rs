//! Chooses the decoder for new ids: a fused one that supports the model, or the general path.

use candle_core::Tensor;

use super::Transformer;
use super::decode_cpu::CpuDecode;
use super::fused::FusedDecode;
use crate::error::Result;
use crate::nn::ForwardCtx;
use crate::nn::kv_cache::Cache;

/// Up to this many new ids are faster one after the other than together; a chord and the token after it are two.
const FEW: usize = 4;

/// The step of a fused decoder, if one supports this model and the ids are few.
pub(super) fn fused(
    model: &Transformer,
    tokens: &Tensor,
    cache: &mut Cache,
    ctx: &ForwardCtx,
) -> Result<Option<Tensor>> {
    // Fused decoders read the embedding itself.
    if tokens.dim(1)? > FEW || model.token_rows.is_some() {
        return Ok(None);
    }
    if tokens.device().is_cpu() && CpuDecode::supports(&model.spec) {
        return CpuDecode::step(model, tokens, cache, ctx);
    }
    #[cfg(feature = "cuda")]
    if tokens.device().is_cuda() && super::decode_cuda::CudaDecode::supports(&model.spec) {
        return super::decode_cuda::CudaDecode::step(model, tokens, cache, ctx);
    }
    Ok(None)
}
