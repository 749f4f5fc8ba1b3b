//! LLaMA (Touvron et al. 2023, arXiv:2302.13971): RMSNorm, rotary positions, SwiGLU, grouped heads of keys and values.

use serde_json::{Map, Value};

use super::Source;
use crate::error::{Error, Result};
use crate::nn::ModelConfig;
use crate::nn::init::Init;
use crate::nn::model::core::{Attention, Block, FeedForward, Head, Norm, Transformer};

/// Maps `LlamaForCausalLM`'s names onto the core.
///
/// Fresh weights are normal with `initializer_range`; those that write to the residual stream (`o_proj`, `down_proj`)
/// are smaller by 1/√(2 · layers), as in GPT-2, so that the stream keeps its size however deep the model.
pub(super) fn build(config: &ModelConfig, source: &mut dyn Source) -> Result<Transformer> {
    let hidden = config.hidden_size;
    let normal = Init::Normal(config.initializer_range);
    let embedding = source.weight("model.embed_tokens.weight", &[config.vocab_size, hidden], normal)?;
    let blocks = (0..config.num_hidden_layers).map(|layer| block(config, layer, source)).collect::<Result<_>>()?;
    let norm = norm(config, "model.norm", source)?;
    let head = match config.tie_word_embeddings {
        true => Head::Tied,
        false => Head::Free(source.linear("lm_head", (config.vocab_size, hidden), normal)?),
    };
    Ok(Transformer { embedding, blocks, norm, head })
}

fn block(config: &ModelConfig, layer: usize, source: &mut dyn Source) -> Result<Block> {
    let (hidden, inner, dim) = (config.hidden_size, config.intermediate_size, config.head_dim());
    let (heads, kv_heads) = (config.num_attention_heads, config.kv_heads());
    let normal = Init::Normal(config.initializer_range);
    let residual = Init::Normal(config.initializer_range / (2.0 * config.num_hidden_layers as f64).sqrt());
    let name = |part: &str| format!("model.layers.{layer}.{part}");
    Ok(Block {
        attention_norm: norm(config, &name("input_layernorm"), source)?,
        attention: Attention {
            q: source.linear(&name("self_attn.q_proj"), (heads * dim, hidden), normal)?,
            k: source.linear(&name("self_attn.k_proj"), (kv_heads * dim, hidden), normal)?,
            v: source.linear(&name("self_attn.v_proj"), (kv_heads * dim, hidden), normal)?,
            o: source.linear(&name("self_attn.o_proj"), (hidden, heads * dim), residual)?,
            heads,
            kv_heads,
            head_dim: dim,
            rope_theta: config.rope_theta,
        },
        feed_forward_norm: norm(config, &name("post_attention_layernorm"), source)?,
        feed_forward: FeedForward {
            gate: source.linear(&name("mlp.gate_proj"), (inner, hidden), normal)?,
            up: source.linear(&name("mlp.up_proj"), (inner, hidden), normal)?,
            down: source.linear(&name("mlp.down_proj"), (hidden, inner), residual)?,
        },
    })
}

fn norm(config: &ModelConfig, name: &str, source: &mut dyn Source) -> Result<Norm> {
    let weight = source.weight(&format!("{name}.weight"), &[config.hidden_size], Init::Ones)?;
    Ok(Norm { weight, eps: config.rms_norm_eps })
}

/// Biases, other activations and stretched rotary positions would change the answers, so they are not skipped.
pub(super) fn refuse_foreign(file: &Map<String, Value>) -> Result<()> {
    let refuse = |key: &str, value: &Value| {
        Err(Error::mistake(format!("config.json: {key} {value} is not supported for model_type llama")))
    };
    for key in ["attention_bias", "mlp_bias"] {
        match file.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(value) => return refuse(key, value),
        }
    }
    match file.get("hidden_act") {
        None | Some(Value::Null) => {}
        Some(value) if value == "silu" || value == "swish" => {}
        Some(value) => return refuse("hidden_act", value),
    }
    for key in ["rope_scaling", "rope_parameters"] {
        let Some(value @ Value::Object(rope)) = file.get(key) else { continue };
        let kind = rope.get("rope_type").or_else(|| rope.get("type")).unwrap_or(&Value::Null);
        let whole = rope.get("partial_rotary_factor").is_none_or(|share| share.as_f64() == Some(1.0));
        if !(kind.is_null() || kind == "default") || !whole {
            return refuse(key, value);
        }
    }
    Ok(())
}
