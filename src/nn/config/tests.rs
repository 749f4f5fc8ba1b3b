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

#[test]
fn a_t5_is_read_in_either_words_and_says_what_does_not_fit() {
    let hf = json!({
        "model_type": "t5", "vocab_size": 9, "d_model": 8, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 2, "d_ff": 5,
        "d_kv": 3, "feed_forward_proj": "gated-silu", "n_positions": 77, "tie_word_embeddings": false
    });
    let ours = json!({
        "model_type": "t5", "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 2, "num_encoder_layers": 3,
        "num_attention_heads": 2, "intermediate_size": 5, "head_dim": 3, "feed_forward_proj": "gated-silu",
        "max_position_embeddings": 77, "tie_word_embeddings": false
    });
    let config = ModelConfig::read(hf, &Plain).unwrap();
    assert_eq!(config, ModelConfig::read(ours, &Plain).unwrap());
    let spec = config.lower().unwrap();
    let encoder = spec.encoder.as_ref().expect("an encoder");
    assert_eq!((encoder.layers, spec.decoder.layers, encoder.head_dim), (3, 2, 3));
    assert_eq!((encoder.attention, spec.decoder.attention), (AttentionKind::Bidirectional, AttentionKind::Causal));
    assert!(spec.decoder.cross_attention && !encoder.cross_attention);
    assert_eq!(spec.decoder.mlp, MlpKind::Gated(Activation::Silu));
    assert_eq!(spec.decoder.positions, Positions::T5Bias { buckets: 32, max_distance: 128 });
    assert_eq!((spec.tied_head, spec.head_scale, spec.max_positions), (false, None, 77));
    let tied = T5Config { vocab_size: 9, hidden_size: 64, ..T5Config::default() };
    assert_eq!(tied.lower().unwrap().head_scale, Some(0.125));
    let refused = |config: T5Config| config.lower().expect_err("refused").to_string();
    for (config, name) in [
        (T5Config { feed_forward_proj: "gated-gelo".into(), ..tied.clone() }, "feed_forward_proj"),
        (T5Config { is_gated_act: Some(false), ..tied.clone() }, "is_gated_act is false"),
        (T5Config { is_encoder_decoder: false, ..tied.clone() }, "is_encoder_decoder is false"),
        (T5Config { encoder_vocab_size: Some(10), ..tied.clone() }, "encoder_vocab_size 10"),
        (T5Config { relative_attention_num_buckets: 3, ..tied.clone() }, "relative_attention_num_buckets is 3"),
        (T5Config { relative_attention_max_distance: 16, ..tied.clone() }, "relative_attention_max_distance 16"),
        (T5Config { hidden_size: 66, ..tied.clone() }, "d_model 66 is not divisible by num_heads 8"),
        (T5Config { num_decoder_layers: Some(0), ..tied.clone() }, "num_decoder_layers is 0"),
    ] {
        assert!(refused(config.clone()).contains(name), "{name}: {}", refused(config));
    }
}

#[test]
fn files_of_t5_have_the_defaults_of_transformers() {
    let text = r#"{ "model_type": "t5", "vocab_size": 9, "d_model": 8, "num_layers": 1, "num_heads": 2, "d_ff": 5,
        "dense_act_fn": "relu", "is_gated_act": false, "dropout_rate": 0.1 }"#;
    let ModelConfig::T5(config) = ModelConfig::from_hf_json(text).unwrap() else { panic!("a t5") };
    assert_eq!((config.head_dim(), config.feed_forward_proj.as_str(), config.decoder_start_token_id), (64, "relu", 0));
    let written = ModelConfig::from(&config).to_hf_json(false, crate::nn::dtype::Dtype::F32).unwrap();
    for line in ["\"T5ForConditionalGeneration\"", "\"scale_decoder_outputs\": true", "\"num_decoder_layers\": 1"] {
        assert!(written.contains(line), "{line}: {written}");
    }
    let ModelConfig::T5(back) = ModelConfig::from_hf_json(&written).unwrap() else { panic!("a t5") };
    assert_eq!(back.lower().unwrap(), config.lower().unwrap());
}

#[test]
fn a_music_transformer_has_an_encoder_where_it_is_asked_for() {
    let plain = MusicTransformerConfig { vocab_size: 9, ..MusicTransformerConfig::default() };
    let spec = plain.lower().unwrap();
    assert!(spec.encoder.is_none() && !spec.decoder.cross_attention);
    assert_eq!(
        (spec.decoder.positions, spec.decoder.relative_vectors()),
        (Positions::Relative { max_distance: 2048 }, 2048)
    );
    let both = MusicTransformerConfig {
        is_encoder_decoder: true,
        num_encoder_layers: Some(3),
        max_relative_positions: Some(10),
        ..plain.clone()
    };
    let encoder = both.lower().unwrap().encoder.expect("an encoder");
    assert_eq!((encoder.layers, encoder.relative_vectors()), (3, 19), "both directions");
    let written = ModelConfig::from(both.clone()).to_hf_json(false, crate::nn::dtype::Dtype::F32).unwrap();
    assert_eq!(ModelConfig::from_hf_json(&written).unwrap(), both.clone().into());
    let refused = |config: MusicTransformerConfig| config.lower().expect_err("refused").to_string();
    assert!(refused(MusicTransformerConfig { is_encoder_decoder: false, ..both }).contains("num_encoder_layers is 3"));
    assert!(refused(MusicTransformerConfig { hidden_act: "tanh".into(), ..plain }).contains("hidden_act"));
}
