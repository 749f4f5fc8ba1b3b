//! Reads and writes `config.json` in the format of `transformers`.
//!
//! Options of scripts are checked strictly; files are read leniently, since each release of `transformers` adds keys.
//! Keys that would change the results and are not supported are refused, never skipped; keys without effect are kept
//! elsewhere and written back.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{FAMILIES, MlpKind, ModelConfig, ReadOptions};
use crate::error::{Error, Result};
use crate::nn::dtype::Dtype;
use crate::nn::ops::Activation;

/// The keys of a family's files that are read.
struct FileKeys {
    /// Keys that a file must have, since the defaults of `transformers` are those of a much larger model.
    shape: &'static [&'static str],
    /// Further keys that are read.
    more: &'static [&'static str],
}

const LLAMA: FileKeys = FileKeys {
    shape: &["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"],
    more: &[
        "model_type",
        "num_key_value_heads",
        "head_dim",
        "max_position_embeddings",
        "rms_norm_eps",
        "rope_theta",
        "rope_parameters",
        "hidden_act",
        "attention_bias",
        "mlp_bias",
        "tie_word_embeddings",
        "initializer_range",
    ],
};

const GPT2: FileKeys = FileKeys {
    shape: &["vocab_size", "n_embd", "n_layer", "n_head"],
    more: &[
        "model_type",
        "n_inner",
        "n_positions",
        "activation_function",
        "layer_norm_epsilon",
        "scale_attn_weights",
        "scale_attn_by_inverse_layer_idx",
        "tie_word_embeddings",
        "initializer_range",
    ],
};

const MUSIC_TRANSFORMER: FileKeys = FileKeys {
    shape: &["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"],
    more: &[
        "model_type",
        "num_encoder_layers",
        "is_encoder_decoder",
        "max_position_embeddings",
        "max_relative_positions",
        "hidden_act",
        "layer_norm_eps",
        "tie_word_embeddings",
        "initializer_range",
    ],
};

const T5: FileKeys = FileKeys {
    shape: &["vocab_size", "d_model", "d_ff", "num_layers", "num_heads"],
    more: &[
        "model_type",
        "d_kv",
        "num_decoder_layers",
        "relative_attention_num_buckets",
        "relative_attention_max_distance",
        "feed_forward_proj",
        "is_gated_act",
        "layer_norm_epsilon",
        "tie_word_embeddings",
        "scale_decoder_outputs",
        "initializer_factor",
        "n_positions",
        "decoder_start_token_id",
        "pad_token_id",
        "eos_token_id",
        "is_encoder_decoder",
    ],
};

/// What `transformers` takes where a T5's file says nothing, and the defaults here are others.
fn settle_t5(file: &mut Map<String, Value>) {
    for (key, value) in [
        ("d_kv", json!(64)),
        ("feed_forward_proj", json!("relu")),
        ("decoder_start_token_id", json!(0)),
        ("eos_token_id", json!(1)),
    ] {
        if file.get(key).is_none_or(Value::is_null) {
            file.insert(key.into(), value);
        }
    }
}

/// Reads a file's values as they are.
struct File;

impl ReadOptions for File {
    fn read<T: DeserializeOwned>(&self, map: Value) -> Result<T> {
        serde_json::from_value(map).map_err(|e| Error::broken(format!("config.json: {e}")))
    }
}

impl ModelConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// Names the key whose value is missing, of the wrong kind, or asks for what the family cannot do.
    ///
    /// ```
    /// use etude::nn::ModelConfig;
    ///
    /// let text = r#"{ "model_type": "llama", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 128,
    ///     "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 32 }"#;
    /// let config = ModelConfig::from_hf_json(text)?;
    /// assert_eq!((config.model_type(), config.lower()?.decoder.layers), ("llama", 2));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn from_hf_json(text: &str) -> Result<Self> {
        let mut file: Map<String, Value> =
            serde_json::from_str(text).map_err(|e| Error::broken(format!("config.json is not a JSON object: {e}")))?;
        let keys = match file.get("model_type").and_then(Value::as_str) {
            Some("llama") => {
                settle_rope(&mut file);
                file.entry("rms_norm_eps").or_insert(json!(1e-6)); // the default there
                LLAMA
            }
            Some("gpt2") => {
                refuse_cross_attention(&file)?;
                GPT2
            }
            Some("t5") => {
                settle_t5(&mut file);
                T5
            }
            Some("music_transformer") => MUSIC_TRANSFORMER,
            Some(other) => return Err(Error::unknown("model_type", other, &FAMILIES)),
            None => return Err(Error::broken("config.json does not say its model_type")),
        };
        let is_read = |key: &str| keys.shape.contains(&key) || keys.more.contains(&key);
        file.retain(|key, value| is_read(key) && !value.is_null());
        if let Some(key) = keys.shape.iter().find(|key| !file.contains_key(**key)) {
            return Err(Error::broken(format!("config.json does not say its {key}")));
        }
        let config = Self::read(Value::Object(file), &File)?;
        config.validate().map_err(|e| e.context("config.json"))?;
        Ok(config)
    }

    /// The text of a `config.json` that `AutoModelForCausalLM` loads; `nf4` says that the blocks are in 4 bits, and
    /// `dtype` what the other tensors are stored in.
    ///
    /// # Errors
    /// None that a user can cause.
    pub fn to_hf_json(&self, nf4: bool, dtype: Dtype) -> Result<String> {
        let Value::Object(mut file) = serde_json::to_value(self).map_err(Error::internal)? else {
            return Err(Error::internal("a configuration is a map"));
        };
        match self {
            Self::Llama(config) => {
                let mut set = |key: &str, value: Value| file.insert(key.into(), value);
                set("architectures", json!(["LlamaForCausalLM"]));
                set("attention_dropout", json!(0.0));
                set("head_dim", json!(config.head_dim()));
                set("num_key_value_heads", json!(config.kv_heads()));
                if let Some(Value::Object(rope)) = file.get_mut("rope_parameters") {
                    rope.insert("rope_theta".into(), json!(config.rope_theta));
                }
            }
            Self::Gpt2(_) => {
                file.insert("architectures".into(), json!(["GPT2LMHeadModel"]));
            }
            Self::T5(config) => {
                let mut set = |key: &str, value: Value| file.insert(key.into(), value);
                let (gated, activation) = match config.feed_forward()? {
                    MlpKind::Gated(activation) => (true, activation),
                    MlpKind::Plain(activation) => (false, activation),
                };
                set("architectures", json!(["T5ForConditionalGeneration"]));
                set("d_kv", json!(config.head_dim()));
                set("num_decoder_layers", json!(config.decoder_layers()));
                set("dropout_rate", json!(0.0));
                set("scale_decoder_outputs", json!(config.scales_head()));
                set("is_gated_act", json!(gated));
                set("dense_act_fn", json!(t5_activation(activation)));
            }
            Self::MusicTransformer(config) => {
                let mut set = |key: &str, value: Value| file.insert(key.into(), value);
                set("architectures", json!(["MusicTransformer"]));
                set("max_relative_positions", json!(config.relative_positions()));
            }
        }
        file.insert("torch_dtype".into(), json!(dtype.torch_name()));
        file.insert("use_cache".into(), json!(true));
        if nf4 {
            file.insert("quantization_config".into(), quantization());
        }
        let mut sorted: Vec<(String, Value)> = file.into_iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let sorted: Map<String, Value> = sorted.into_iter().collect();
        Ok(format!("{:#}\n", Value::Object(sorted)))
    }
}

/// The name that files of T5 have for an activation.
fn t5_activation(activation: Activation) -> String {
    match activation {
        Activation::GeluTanh => "gelu_new".into(),
        other => other.to_string(),
    }
}

/// The quantisation config that transformers and bitsandbytes use for 4-bit weights.
fn quantization() -> Value {
    json!({
        "_load_in_4bit": true,
        "_load_in_8bit": false,
        "bnb_4bit_compute_dtype": "float32",
        "bnb_4bit_quant_storage": "uint8",
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": true,
        "llm_int8_enable_fp32_cpu_offload": false,
        "llm_int8_has_fp16_weight": false,
        "llm_int8_skip_modules": null,
        "llm_int8_threshold": 6.0,
        "load_in_4bit": true,
        "load_in_8bit": false,
        "quant_method": "bitsandbytes",
    })
}

/// Converts the rotary keys of older releases of `transformers` to one: `rope_scaling`, which may hold its type twice.
fn settle_rope(file: &mut Map<String, Value>) {
    let old = file.remove("rope_scaling");
    let rope = file.remove("rope_parameters").filter(|value| !value.is_null()).or(old);
    let Some(mut rope) = rope.filter(|value| !value.is_null()) else { return };
    if let Value::Object(rope) = &mut rope {
        rope.retain(|_, value| !value.is_null());
        if rope.contains_key("rope_type") {
            rope.remove("type");
        }
    }
    file.insert("rope_parameters".into(), rope);
}

fn refuse_cross_attention(file: &Map<String, Value>) -> Result<()> {
    match file.get("add_cross_attention") {
        Some(Value::Bool(true)) => {
            Err(Error::mistake("config.json: add_cross_attention true is not supported for model_type gpt2"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::config::LlamaConfig;

    const OLD: &str = r#"{
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 100, "hidden_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": null, "intermediate_size": 96,
        "hidden_act": "silu", "rope_scaling": null, "rope_theta": 500000.0, "pretraining_tp": 1,
        "torch_dtype": "float16", "transformers_version": "4.31.0", "unheard_of": {"a": [1]}
    }"#;

    const GPT2: &str = r#"{
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "bos_token_id": 5,
        "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 64, "n_embd": 32, "n_head": 4, "n_inner": null,
        "n_layer": 2, "n_positions": 64, "scale_attn_by_inverse_layer_idx": true, "vocab_size": 100
    }"#;

    fn llama(text: &str) -> LlamaConfig {
        match ModelConfig::from_hf_json(text).unwrap() {
            ModelConfig::Llama(config) => config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_of_old_and_new_releases_are_read() {
        let config = llama(OLD);
        assert_eq!((config.kv_heads(), config.rope_theta, config.rms_norm_eps), (4, 500_000.0, 1e-6));
        let new = r#""rope_parameters": {"rope_theta": 7.5, "rope_type": "default"}"#;
        let new = llama(&OLD.replace(r#""rope_scaling": null"#, new));
        assert_eq!((new.rope_theta, new.rope_parameters), (7.5, None));
        let twice = r#""rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 2}"#;
        let stretched = llama(&OLD.replace(r#""rope_scaling": null"#, twice));
        assert_eq!(stretched.rope_parameters.unwrap().factor, Some(2.0));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let config = llama(OLD);
        let yarn = r#"{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}"#;
        let stretched = LlamaConfig { rope_parameters: serde_json::from_str(yarn).unwrap(), ..config.clone() };
        for config in [LlamaConfig { head_dim: Some(20), attention_bias: true, ..config }, stretched] {
            for (nf4, dtype) in [(false, Dtype::F32), (true, Dtype::Bf16)] {
                let file = ModelConfig::from(&config).to_hf_json(nf4, dtype).unwrap();
                let dim = Some(config.head_dim());
                let config = LlamaConfig { num_key_value_heads: Some(4), head_dim: dim, ..config.clone() };
                assert_eq!(ModelConfig::from_hf_json(&file).unwrap(), config.into());
            }
        }
        let gpt2 = ModelConfig::from_hf_json(GPT2).unwrap();
        assert_eq!(ModelConfig::from_hf_json(&gpt2.to_hf_json(false, Dtype::F32).unwrap()).unwrap(), gpt2);
    }

    #[test]
    fn what_would_change_the_answers_is_refused() {
        let refused = |text: &str, from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            ModelConfig::from_hf_json(&text.replace(from, to)).expect_err("refused").to_string()
        };
        let long = r#""rope_scaling": {"type": "longrope", "factor": 2}"#;
        assert!(refused(OLD, r#""rope_scaling": null"#, long).contains("longrope"));
        let part = r#""rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}"#;
        assert!(refused(OLD, r#""rope_scaling": null"#, part).contains("partial_rotary_factor 0.5"));
        assert!(refused(OLD, r#""silu""#, r#""mish""#).contains("hidden_act"));
        assert!(refused(OLD, r#""hidden_size": 64,"#, "").contains("hidden_size"));
        assert!(refused(OLD, r#""model_type": "llama","#, "").contains("model_type"));
        assert!(refused(OLD, r#""llama""#, r#""mamba""#).contains("'mamba'"));
        assert!(refused(GPT2, r#""n_ctx": 64"#, r#""add_cross_attention": true"#).contains("add_cross_attention"));
        assert!(refused(GPT2, r#""n_head": 4"#, r#""n_head": 5"#).contains("n_embd 32 is not divisible by n_head 5"));
        assert!(ModelConfig::from_hf_json("[]").is_err_and(|e| e.is_mistake()));
    }
}
