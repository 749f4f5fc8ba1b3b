//! LLaMA (Touvron et al. 2023, arXiv:2302.13971), as `LlamaForCausalLM` names it.

use crate::nn::core::Names;

pub(super) static NAMES: Names = Names {
    embedding: "model.embed_tokens",
    positions: "",
    layers: "model.layers",
    attention_norm: "input_layernorm",
    projections: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    attention_output: "self_attn.o_proj",
    mlp_norm: "post_attention_layernorm",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    down: "mlp.down_proj",
    norm: "model.norm",
    head: "lm_head",
    transposed: false,
};
