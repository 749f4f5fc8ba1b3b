//! `config.json` as `transformers` writes and reads it.
//!
//! Scripts spell every key right or are told so; files are read leniently, since each release of `transformers` adds
//! keys of its own. What would change the answers and is not built here is refused, never skipped.

use serde_json::{Map, Value, json};

use super::ModelConfig;
use crate::error::{Error, Result};
use crate::nn::model::Family;
use crate::nn::weights::Dtype;

/// What a file must say, since the defaults there are those of a model of 7 billion weights.
const SHAPE: [&str; 5] = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"];

/// What is read.
const KEYS: [&str; 13] = [
    "model_type",
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "tie_word_embeddings",
    "initializer_range",
];

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
        let mut known: Map<String, Value> =
            KEYS.iter().filter_map(|key| Some(((*key).to_owned(), file.get(*key)?.clone()))).collect();
        known.retain(|_, value| !value.is_null());
        if let Some(key) = SHAPE.iter().find(|key| !known.contains_key(**key)) {
            return Err(Error::broken(format!("config.json does not say its {key}")));
        }
        known.entry("rms_norm_eps").or_insert(json!(1e-6)); // the default there
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

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 100, "hidden_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": null, "intermediate_size": 96,
        "hidden_act": "silu", "rope_scaling": null, "rope_theta": 500000.0, "pretraining_tp": 1,
        "torch_dtype": "float16", "transformers_version": "4.31.0", "unheard_of": {"a": [1]}
    }"#;

    #[test]
    fn files_of_old_and_new_releases_are_read() {
        let config = ModelConfig::from_hf_json(OLD).unwrap();
        assert_eq!((config.kv_heads(), config.rope_theta, config.rms_norm_eps), (4, 500_000.0, 1e-6));
        let new = r#""rope_parameters": {"rope_theta": 7.5, "rope_type": "default"}"#;
        let new = OLD.replace(r#""rope_scaling": null"#, new);
        assert_eq!(ModelConfig::from_hf_json(&new).unwrap().rope_theta, 7.5);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let config = ModelConfig { head_dim: Some(20), ..ModelConfig::from_hf_json(OLD).unwrap() };
        for (nf4, dtype) in [(false, Dtype::F32), (true, Dtype::Bf16)] {
            let back = ModelConfig::from_hf_json(&config.to_hf_json(nf4, dtype)).unwrap();
            assert_eq!(back, ModelConfig { num_key_value_heads: Some(4), ..config.clone() });
        }
    }

    #[test]
    fn what_would_change_the_answers_is_refused() {
        let refused = |from: &str, to: &str| {
            assert!(OLD.contains(from), "{from}");
            ModelConfig::from_hf_json(&OLD.replace(from, to)).expect_err("refused").to_string()
        };
        let stretched = r#""rope_scaling": {"type": "linear", "factor": 2}"#;
        assert!(refused(r#""rope_scaling": null"#, stretched).contains("linear"));
        assert!(refused(r#""silu""#, r#""relu""#).contains("hidden_act"));
        assert!(refused(r#""pretraining_tp": 1"#, r#""mlp_bias": true"#).contains("mlp_bias"));
        assert!(refused(r#""hidden_size": 64,"#, "").contains("hidden_size"));
        assert!(refused(r#""model_type": "llama","#, "").contains("model_type"));
        assert!(refused(r#""llama""#, r#""mamba""#).contains("'mamba'"));
        assert!(ModelConfig::from_hf_json("[]").is_err_and(|e| e.is_mistake()));
    }
}
