//! GPT-2 (Radford et al. 2019), as `GPT2LMHeadModel` names it. Its linear layers are `Conv1D`, stored as (in, out).

use crate::nn::core::Names;

pub(super) static NAMES: Names = Names {
    embedding: "transformer.wte",
    positions: "transformer.wpe",
    layers: "transformer.h",
    attention_norm: "ln_1",
    projections: &["attn.c_attn"],
    attention_output: "attn.c_proj",
    mlp_norm: "ln_2",
    gate: "",
    up: "mlp.c_fc",
    down: "mlp.c_proj",
    norm: "transformer.ln_f",
    head: "lm_head",
    transposed: true,
};
