//! LLaMA (Touvron et al. 2023, arXiv:2302.13971), as `LlamaForCausalLM` names it.

use crate::nn::core::{AttentionNames, StackNames, WeightNames};

pub(super) static NAMES: WeightNames = WeightNames {
    embedding: "model.embed_tokens",
    encoder: None,
    decoder: StackNames {
        positions: "",
        relative_bias: "",
        relative_vectors: "",
        layers: "model.layers",
        attention: AttentionNames {
            norm: "input_layernorm",
            projections: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
            output: "self_attn.o_proj",
        },
        cross: None,
        mlp_norm: "post_attention_layernorm",
        gate: "mlp.gate_proj",
        up: "mlp.up_proj",
        down: "mlp.down_proj",
        norm: "model.norm",
    },
    head: "lm_head",
    transposed: false,
    unquantized: &[],
};
