//! T5 (Raffel et al. 2020, arXiv:1910.10683), as `T5ForConditionalGeneration` names it. The table of biases belongs to the
//! first block of each stack by its name, and to all of its blocks by what it does.

use crate::nn::core::{AttentionNames, StackNames, WeightNames};

/// With a plain feed-forward, as version 1.0 has it.
pub(super) static PLAIN: WeightNames = names(false, ["layer.1.DenseReluDense.wi", "layer.2.DenseReluDense.wi"]);

/// With a gated one, as version 1.1 has it.
pub(super) static GATED: WeightNames = names(true, ["layer.1.DenseReluDense.wi_1", "layer.2.DenseReluDense.wi_1"]);

const fn names(gated: bool, up: [&'static str; 2]) -> WeightNames {
    WeightNames {
        embedding: "shared",
        encoder: Some(StackNames {
            positions: "",
            relative_bias: "encoder.block.0.layer.0.SelfAttention.relative_attention_bias",
            relative_vectors: "",
            layers: "encoder.block",
            attention: SELF_ATTENTION,
            cross: None,
            mlp_norm: "layer.1.layer_norm",
            gate: if gated { "layer.1.DenseReluDense.wi_0" } else { "" },
            up: up[0],
            down: "layer.1.DenseReluDense.wo",
            norm: "encoder.final_layer_norm",
        }),
        decoder: StackNames {
            positions: "",
            relative_bias: "decoder.block.0.layer.0.SelfAttention.relative_attention_bias",
            relative_vectors: "",
            layers: "decoder.block",
            attention: SELF_ATTENTION,
            cross: Some(AttentionNames {
                norm: "layer.1.layer_norm",
                projections: &["layer.1.EncDecAttention.q", "layer.1.EncDecAttention.k", "layer.1.EncDecAttention.v"],
                output: "layer.1.EncDecAttention.o",
            }),
            mlp_norm: "layer.2.layer_norm",
            gate: if gated { "layer.2.DenseReluDense.wi_0" } else { "" },
            up: up[1],
            down: "layer.2.DenseReluDense.wo",
            norm: "decoder.final_layer_norm",
        },
        head: "lm_head",
        transposed: false,
        // transformers keeps it in f32 (`_keep_in_fp32_modules`), and reads no other.
        unquantized: &["wo"],
    }
}

const SELF_ATTENTION: AttentionNames = AttentionNames {
    norm: "layer.0.layer_norm",
    projections: &["layer.0.SelfAttention.q", "layer.0.SelfAttention.k", "layer.0.SelfAttention.v"],
    output: "layer.0.SelfAttention.o",
};
