//! The Music Transformer (Huang et al. 2018, arXiv:1809.04281). No library names its weights: the names are those of
//! `transformers`' other encoder–decoders.

use crate::nn::core::{AttentionNames, StackNames, WeightNames};

/// Without an encoder.
pub(super) static DECODER: WeightNames = names(None, None);

/// With one.
pub(super) static ENCODER_DECODER: WeightNames = names(
    Some(stack("model.encoder.layers", "model.encoder.layer_norm", None)),
    Some(AttentionNames {
        norm: "encoder_attn_layer_norm",
        projections: &["encoder_attn.q_proj", "encoder_attn.k_proj", "encoder_attn.v_proj"],
        output: "encoder_attn.out_proj",
    }),
);

const fn names(encoder: Option<StackNames>, cross: Option<AttentionNames>) -> WeightNames {
    WeightNames {
        embedding: "model.shared",
        encoder,
        decoder: stack("model.decoder.layers", "model.decoder.layer_norm", cross),
        head: "lm_head",
        transposed: false,
        unquantized: &[],
    }
}

const fn stack(layers: &'static str, norm: &'static str, cross: Option<AttentionNames>) -> StackNames {
    StackNames {
        positions: "",
        relative_bias: "",
        relative_vectors: "self_attn.relative_positions",
        layers,
        attention: AttentionNames {
            norm: "self_attn_layer_norm",
            projections: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
            output: "self_attn.out_proj",
        },
        cross,
        mlp_norm: "final_layer_norm",
        gate: "",
        up: "fc1",
        down: "fc2",
        norm,
    }
}
