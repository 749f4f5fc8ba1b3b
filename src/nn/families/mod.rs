//! Families: the names of the core's weights in files. The architecture of a family comes from its configuration
//! ([`ModelConfig::lower`]).

mod gpt2;
mod llama;
mod music_transformer;
mod t5;

use crate::nn::core::WeightNames;
use crate::nn::{MlpKind, ModelConfig};

/// The names of the weights of a configuration's family.
pub(crate) fn names(config: &ModelConfig) -> &'static WeightNames {
    match config {
        ModelConfig::Llama(_) => &llama::NAMES,
        ModelConfig::Gpt2(_) => &gpt2::NAMES,
        ModelConfig::T5(config) => match config.feed_forward() {
            Ok(MlpKind::Gated(_)) => &t5::GATED,
            _ => &t5::PLAIN,
        },
        ModelConfig::MusicTransformer(config) if config.is_encoder_decoder => &music_transformer::ENCODER_DECODER,
        ModelConfig::MusicTransformer(_) => &music_transformer::DECODER,
    }
}
