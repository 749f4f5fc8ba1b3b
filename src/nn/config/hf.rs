//! `config.json` as `transformers` writes and reads it.
//!
//! Scripts spell every key right or are told so; files are read leniently, since each release of `transformers` adds
//! keys of its own. What would change the answers and is not built here is refused, never skipped.

use serde_json::{Map, Value, json};

use super::ModelConfig;
use crate::error::{Error, Result};
use crate::nn::model::Family;
use crate::nn::weights::Dtype;

impl ModelConfig {
    /// Reads the text of a `config.json`; keys that make no difference here are ignored.
    ///
    /// # Errors
    /// Names the key whose value is missing, of the wrong kind, or asks for what this family cannot do.
    pub fn from_hf_json(text: &str) -> Result<Self> {
        let file: Map<String, Value> =
            serde_json::from_str(text).map_err(|e| Error::broken(format!("config.json is not a JSON object: {e}")))?;
        let family = match file.get("model_type").and_then(Value::as_str) {
            Some(name) => Family::named(name)?,
            None => return Err(Error::broken("config.json does not say its model_type")),
        };
        family.refuse_foreign(&file)?;
        let mut known = match serde_json::to_value(Self::default()) {
            Ok(Value::Object(known)) => known,
            _ => return Err(Error::mistake("the default shape is no JSON object")),
        };
        for (key, value) in &mut known {
            if let Some(given) = file.get(key).filter(|v| !v.is_null()) {
                *value = given.clone();
            }
        }
        // transformers 5 keeps the base of the angles here.
        if let Some(theta) = file.get("rope_parameters").and_then(|p| p.get("rope_theta")) {
            known.insert("rope_theta".into(), theta.clone());
        }
        let config: Self =
            serde_json::from_value(Value::Object(known)).map_err(|e| Error::broken(format!("config.json: {e}")))?;
        config.validate().map_err(|e| e.context("config.json"))?;
        Ok(config)
    }

    /// The text of a `config.json` that `AutoModelForCausalLM` loads; `nf4` says that the blocks are in 4 bits, and
    /// `dtype` what the other tensors are stored in.
    pub fn to_hf_json(&self, nf4: bool, dtype: Dtype) -> String {
        let mut file = json!({
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": false,
            "attention_dropout": 0.0,
            "head_dim": self.head_dim(),
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_position_embeddings,
            "mlp_bias": false,
            "model_type": self.model_type,
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "num_key_value_heads": self.kv_heads(),
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
            "torch_dtype": dtype.torch_name(),
            "use_cache": true,
            "vocab_size": self.vocab_size,
        });
        if nf4 {
            file["quantization_config"] = json!({
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
            });
        }
        format!("{file:#}\n")
    }
}
