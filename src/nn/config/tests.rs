//! Valid configurations pass, invalid ones name both numbers, and every family is lowered as it should be.

use serde_json::json;

use super::*;
use crate::nn::ops::{Activation, RopeScaling, Rotary};

fn tiny() -> LlamaConfig {
    LlamaConfig { vocab_size: 100, hidden_size: 96, num_attention_heads: 4, ..LlamaConfig::default() }
}

fn refusal(config: &LlamaConfig) -> String {
    config.validate().expect_err("refused").to_string()
}

struct Plain;

impl ReadOptions for Plain {
    fn read<T: DeserializeOwned>(&self, map: Value) -> Result<T> {
        serde_json::from_value(map).map_err(|e| Error::mistake(e.to_string()))
    }
}

#[test]
fn a_sound_shape_passes() {
    tiny().validate().unwrap();
    LlamaConfig { num_key_value_heads: Some(2), head_dim: Some(10), ..tiny() }.validate().unwrap();
}

#[test]
fn both_keys_and_values_are_named() {
    let text = refusal(&LlamaConfig { hidden_size: 100, num_attention_heads: 3, ..tiny() });
    assert!(text.contains("hidden_size 100 is not divisible by num_attention_heads 3"), "{text}");
    assert!(text.contains("hidden_size 99 or 102"), "{text}");
    let text = refusal(&LlamaConfig { num_key_value_heads: Some(3), ..tiny() });
    assert!(text.contains("num_attention_heads 4 is not divisible by num_key_value_heads 3"), "{text}");
    let text = refusal(&LlamaConfig { hidden_size: 12, num_attention_heads: 4, ..tiny() });
    assert!(text.contains("hidden_size 12 over num_attention_heads 4"), "{text}");
    let gpt2 = Gpt2Config { vocab_size: 9, hidden_size: 100, num_attention_heads: 3, ..Gpt2Config::default() };
    let text = gpt2.lower().expect_err("refused").to_string();
    assert!(text.contains("n_embd 100 is not divisible by n_head 3"), "{text}");
}

#[test]
fn zeros_and_nonsense_are_refused() {
    assert!(refusal(&LlamaConfig { vocab_size: 0, ..tiny() }).contains("tok.vocab_size"));
    for config in [
        LlamaConfig { num_attention_heads: 0, ..tiny() },
        LlamaConfig { num_key_value_heads: Some(0), ..tiny() },
        LlamaConfig { head_dim: Some(0), ..tiny() },
        LlamaConfig { head_dim: Some(7), ..tiny() },
        LlamaConfig { num_hidden_layers: 0, ..tiny() },
        LlamaConfig { hidden_size: usize::MAX, num_attention_heads: 1, ..tiny() },
        LlamaConfig { rope_theta: f64::NAN, ..tiny() },
        LlamaConfig { rms_norm_eps: 0.0, ..tiny() },
        LlamaConfig { initializer_range: -1.0, ..tiny() },
    ] {
        assert!(config.validate().is_err_and(|e| e.is_mistake()), "{config:?}");
    }
    let text = refusal(&LlamaConfig { head_dim: Some(1_000_000), ..tiny() });
    assert!(text.contains("head_dim is 1000000") && text.contains("128 are usual"), "{text}");
    for config in [
        LlamaConfig { hidden_size: 1_000_000_000_000_000_000, num_attention_heads: 1, ..tiny() },
        LlamaConfig { num_hidden_layers: 1_000_000_000_000_000_000, ..tiny() },
    ] {
        let text = refusal(&config);
        assert!(text.contains("which no memory holds") && !text.contains("1 or more"), "{text}");
    }
    assert!(refusal(&LlamaConfig { vocab_size: usize::MAX, ..tiny() }).contains("billion weights"));
    let text = refusal(&LlamaConfig { hidden_size: 1 << 20, ..tiny() });
    assert!(text.contains("billion weights"), "{text}");
    let gpt2 = Gpt2Config { vocab_size: 10, ..Gpt2Config::default() };
    for config in [
        Gpt2Config { num_attention_heads: 0, ..gpt2.clone() },
        Gpt2Config { intermediate_size: Some(0), ..gpt2.clone() },
        Gpt2Config { hidden_size: usize::MAX, num_attention_heads: 1, ..gpt2.clone() },
        Gpt2Config { layer_norm_epsilon: f64::INFINITY, ..gpt2.clone() },
        Gpt2Config { activation_function: "tanh".into(), ..gpt2.clone() },
    ] {
        assert!(config.lower().is_err_and(|e| e.is_mistake()), "{config:?}");
    }
}

#[test]
fn a_family_is_read_by_its_name_and_in_either_words() {
    let text = ModelConfig::read(json!({ "model_type": "lama" }), &Plain).unwrap_err().to_string();
    assert!(text.contains("did you mean 'llama'"), "{text}");
    let hf = json!({ "model_type": "gpt2", "vocab_size": 9, "n_embd": 8, "n_layer": 3, "n_head": 2, "n_inner": 5 });
    let ours = json!({
        "model_type": "gpt2", "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2,
        "intermediate_size": 5
    });
    let config = ModelConfig::read(hf, &Plain).unwrap();
    assert_eq!(config, ModelConfig::read(ours, &Plain).unwrap());
    assert_eq!(config.model_type(), "gpt2");
    let spec = config.lower().unwrap().decoder;
    assert_eq!((spec.layers, spec.head_dim, spec.intermediate_size, spec.fused_qkv), (3, 4, 5, true));
    assert_eq!((spec.positions, spec.mlp), (Positions::Learned, MlpKind::Plain(Activation::GeluTanh)));
}

#[test]
fn rotary_positions_are_lowered_and_their_keys_checked() {
    let lower = |rope: Value| {
        let map =
            json!({ "vocab_size": 9, "max_position_embeddings": 100, "rope_theta": 5.0, "rope_parameters": rope });
        ModelConfig::read(map, &Plain)?.lower()
    };
    let rotary = |rope: Value| match lower(rope).unwrap().decoder.positions {
        Positions::Rotary(rotary) => rotary,
        other => panic!("{other:?}"),
    };
    assert_eq!(rotary(json!({ "rope_type": "default", "rope_theta": 7.0 })), Rotary::plain(7.0));
    let linear = Rotary { theta: 5.0, scaling: RopeScaling::Linear { factor: 2.0 } };
    assert_eq!(rotary(json!({ "type": "linear", "factor": 2 })), linear);
    let yarn = rotary(json!({ "rope_type": "yarn", "factor": 4.0 })).scaling;
    let RopeScaling::Yarn { attention_factor, fast, slow, original, truncate, .. } = yarn else { panic!("{yarn:?}") };
    assert!((attention_factor - 1.138_629_436).abs() < 1e-8); // 0.1 · ln 4 + 1
    assert_eq!((fast, slow, original, truncate), (32.0, 1.0, 100, true));
    assert_eq!(lower(json!({ "rope_type": "dynamic", "factor": 3.0 })).unwrap().max_positions, 300);
    for (rope, name) in [
        (json!({ "rope_type": "lineal", "factor": 2 }), "'linear'"),
        (json!({ "rope_type": "linear" }), "factor"),
        (json!({ "rope_type": "dynamic", "factor": 0.5 }), "factor is 0.5"),
        (json!({ "rope_type": "llama3", "factor": 8, "low_freq_factor": 1 }), "high_freq_factor"),
        (json!({ "rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1 }), "not below"),
        (json!({ "rope_type": "yarn", "factor": 4, "beta_fast": -1 }), "beta_fast is -1"),
        (json!({ "rope_type": "linear", "facter": 2 }), "facter"),
    ] {
        let text = lower(rope).unwrap_err().to_string();
        assert!(text.contains(name), "{text}");
    }
}
