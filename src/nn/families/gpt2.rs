//! GPT-2 (Radford et al. 2019), as `GPT2LMHeadModel` names it. Its linear layers are `Conv1D`, stored as (in, out).

use crate::nn::core::{AttentionNames, StackNames, WeightNames};

pub(super) static NAMES: WeightNames = WeightNames {
    embedding: "transformer.wte",
    encoder: None,
    decoder: StackNames {
        positions: "transformer.wpe",
        relative_bias: "",
        relative_vectors: "",
        layers: "transformer.h",
        attention: AttentionNames { norm: "ln_1", projections: &["attn.c_attn"], output: "attn.c_proj" },
        cross: None,
        mlp_norm: "ln_2",
        gate: "",
        up: "mlp.c_fc",
        down: "mlp.c_proj",
        norm: "transformer.ln_f",
    },
    head: "lm_head",
    transposed: true,
    unquantized: &[],
};
