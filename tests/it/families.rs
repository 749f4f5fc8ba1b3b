//! GPT-2 and the further options of LLaMA against `transformers` and `peft`: the same logits, loss, attention and gradients;
//! trained, saved, loaded and decoded here.
//!
//! The checkpoints and answers are in `golden/families`; `golden/families/make.py` made them.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, safetensors};
use etude::nn::{
    ArchSpec, Cache, ForwardCtx, Gpt2Config, LlamaConfig, LoraConfig, MlpKind, Model, ModelConfig, Precision,
};
use etude::train::{AdamW, AdamWOptions, Grads};

use crate::expected::{Expected, largest_difference};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/families").join(name)
}

fn load(name: &str) -> Model {
    Model::load(&golden(name), &Device::Cpu).unwrap()
}

fn expected(name: &str) -> Expected {
    Expected::of(&golden(name))
}

const OPTIONS: [&str; 6] = ["llama_bias", "llama_relu", "llama_linear", "llama_dynamic", "llama_llama3", "llama_yarn"];

#[test]
fn a_gpt2_of_transformers_answers_as_it_does_there() {
    assert_eq!(expected("plain").check(&load("plain")), 8);
    let model = load("erf");
    assert_eq!(expected("erf").check(&model), 2);
    assert!(!model.spec().tied_head && model.spec().decoder.intermediate_size == 48);
}

#[test]
fn a_gpt2_adapter_of_peft_answers_as_it_does_there() {
    let model = load("plain").load_adapter(&golden("adapter")).unwrap();
    assert_eq!(model.parameters().len(), 2 * 4 * 2);
    expected("adapter").check(&model);
    expected("adapter").check(&model.merge().unwrap());
    let folder = tempfile::tempdir().unwrap();
    model.save_adapter(folder.path()).unwrap();
    let text = std::fs::read_to_string(folder.path().join("adapter_config.json")).unwrap();
    assert!(text.contains("\"fan_in_fan_out\": true"), "{text}");
    let ours = safetensors::load(folder.path().join("adapter_model.safetensors"), &Device::Cpu).unwrap();
    same(&ours, &safetensors::load(golden("adapter").join("adapter_model.safetensors"), &Device::Cpu).unwrap());
}

#[test]
fn an_adapter_that_contradicts_the_order_of_the_weights_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let copy = |name: &str| std::fs::copy(golden("adapter").join(name), path(name)).unwrap();
    copy("adapter_model.safetensors");
    copy("adapter_config.json");
    let text = std::fs::read_to_string(path("adapter_config.json")).unwrap();
    assert!(text.contains("\"fan_in_fan_out\": true"));
    let with = |to: &str| {
        std::fs::write(path("adapter_config.json"), text.replace("\"fan_in_fan_out\": true,", to)).unwrap();
        load("plain").load_adapter(folder.path())
    };
    assert!(with("").is_ok(), "PEFT finds out by itself where the key is absent");
    let error = with("\"fan_in_fan_out\": false,").unwrap_err();
    assert!(error.message().contains("fan_in_fan_out is false") && error.hint().is_some(), "{error}");
}

#[test]
fn the_further_options_of_llama_answer_as_they_do_there() {
    for name in OPTIONS {
        expected(name).check(&load(name));
    }
}

type Tensors = std::collections::HashMap<String, Tensor>;

fn same(ours: &Tensors, theirs: &Tensors) {
    assert_eq!(ours.len(), theirs.len());
    for (name, tensor) in theirs {
        assert_eq!(largest_difference(&ours[name], tensor), 0.0, "{name}");
    }
}

#[test]
fn what_is_saved_is_what_transformers_saved() {
    for name in ["plain", "llama_bias", "llama_yarn"] {
        let folder = tempfile::tempdir().unwrap();
        load(name).save(folder.path()).unwrap();
        let file = |dir: &Path| safetensors::load(dir.join("model.safetensors"), &Device::Cpu).unwrap();
        same(&file(folder.path()), &file(&golden(name)));
        expected(name).check(&Model::load(folder.path(), &Device::Cpu).unwrap());
        let read = |dir: &Path| -> serde_json::Value {
            serde_json::from_str(&std::fs::read_to_string(dir.join("config.json")).unwrap()).unwrap()
        };
        let (ours, theirs) = (read(folder.path()), read(&golden(name)));
        for (key, value) in theirs.as_object().unwrap() {
            // Where nothing is stretched, rope_theta says all; "dtype" is "torch_dtype" here, as older releases have it.
            let plain = value.get("rope_type").is_some_and(|kind| kind == "default");
            if key != "dtype"
                && key != "transformers_version"
                && !plain
                && !(value.is_null() && ours.get(key).is_none())
            {
                assert_eq!(&ours[key], value, "{name}: {key}");
            }
        }
    }
}

/// The logits after each of the ids, the first three read at once: (rows, ids, vocabulary).
fn steps(model: &Model, tokens: &Tensor, ctx: &ForwardCtx) -> Tensor {
    let mut cache = Cache::new();
    let mut logits = vec![model.step(&tokens.narrow(1, 0, 3).unwrap(), &mut cache, ctx).unwrap()];
    for at in 3..tokens.dim(1).unwrap() {
        logits.push(model.step(&tokens.narrow(1, at, 1).unwrap(), &mut cache, ctx).unwrap());
    }
    Tensor::stack(&logits, 1).unwrap()
}

#[test]
fn the_cache_answers_as_the_whole_sequence_does() {
    // "dynamic" is left out: its angles depend on the length, there as here, so a cache holds keys of shorter sequences.
    for name in ["plain", "erf", "llama_bias", "llama_relu", "llama_linear", "llama_llama3", "llama_yarn"] {
        for model in [load(name), load(name).quantize("nf4").unwrap()] {
            let batch = expected(name).batch();
            let tokens = Tensor::from_vec(batch.input_ids, (batch.rows, batch.width), &Device::Cpu).unwrap();
            let ctx = ForwardCtx::default();
            let whole = model.forward(&tokens, &ctx).unwrap().narrow(1, 2, batch.width - 2).unwrap();
            let off = largest_difference(&steps(&model, &tokens, &ctx), &whole);
            assert!(off < 1e-4, "{name}: {off}");
        }
    }
    let (model, mut cache) = (load("plain"), Cache::new());
    let id = Tensor::from_vec(vec![1u32], (1, 1), &Device::Cpu).unwrap();
    (0..32).for_each(|_| drop(model.step(&id, &mut cache, &ForwardCtx::default()).unwrap()));
    let text = model.step(&id, &mut cache, &ForwardCtx::default()).unwrap_err().to_string();
    assert!(text.contains("position 32 is beyond max_position_embeddings 32"), "{text}");
}

#[test]
fn a_gpt2_learns_with_adapters_in_4_bits_and_comes_back_from_disk() {
    let base = load("plain").quantize("nf4").unwrap();
    let model = base.lora(&LoraConfig { r: 4, ..LoraConfig::default() }, 7).unwrap();
    assert_eq!(model.parameters().len(), 2 * 4 * 2, "c_attn, c_proj, c_fc, c_proj of two blocks");
    let batch = expected("plain").batch();
    let loss = |model: &Model| model.loss_value(&batch, &ForwardCtx::default()).unwrap();
    let (first, parameters) = (loss(&model), model.parameters());
    let mut optimizer = AdamW::new(parameters.clone(), AdamWOptions { lr: 2e-2, ..AdamWOptions::default() }).unwrap();
    for _ in 0..15 {
        let (loss, tape) = model.taped_loss(&batch, &ForwardCtx::default()).unwrap();
        optimizer.step(&Grads::backward_tape(&tape, &loss, &parameters).unwrap()).unwrap();
    }
    assert!(loss(&model) < first - 0.5, "{first} -> {}", loss(&model));
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path()).unwrap();
    let back = Model::load(folder.path(), &Device::Cpu).unwrap();
    assert_eq!(loss(&back), loss(&model));
    assert_eq!(back.layers(), model.layers());
    let merged = model.merge().unwrap();
    assert_eq!(merged.trainable(), merged.params());
    assert!((loss(&merged) - loss(&model)).abs() < 1e-4);
}

#[test]
fn gradients_are_the_same_whether_activations_are_kept_or_computed_again() {
    let batch = expected("plain").batch();
    for model in [load("plain"), load("erf"), load("plain").lora(&LoraConfig::default(), 1).unwrap()] {
        let parameters = model.parameters();
        let (loss, tape) = model.taped_loss(&batch, &ForwardCtx::default()).unwrap();
        let kept = Grads::backward_tape(&tape, &loss, &parameters).unwrap();
        let (_, again) = Grads::recomputed(&model, &batch, &ForwardCtx::default()).unwrap();
        for ((name, a), (_, b)) in kept.entries().iter().zip(again.entries()) {
            assert!(largest_difference(a, b) < 1e-6, "{name}");
        }
    }
}

#[test]
fn the_description_counts_the_weights_of_every_family() {
    let small = |gated: bool| LlamaConfig {
        vocab_size: 29,
        hidden_size: 24,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        intermediate_size: 40,
        attention_bias: gated,
        mlp_bias: gated,
        tie_word_embeddings: gated,
        ..LlamaConfig::default()
    };
    let gpt2 = Gpt2Config {
        vocab_size: 29,
        hidden_size: 24,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        max_position_embeddings: 17,
        ..Gpt2Config::default()
    };
    let untied = Gpt2Config { tie_word_embeddings: false, intermediate_size: Some(10), ..gpt2.clone() };
    let configs: [ModelConfig; 4] = [small(false).into(), small(true).into(), gpt2.into(), untied.into()];
    for config in configs {
        let model = Model::new(&config, &Device::Cpu, 1).unwrap();
        let spec: &ArchSpec = model.spec();
        assert_eq!(spec.weights(), model.params() as u128, "{config:?}");
        let matrices: usize =
            model.layers().iter().filter(|l| l.kind == "linear").map(|l| l.shape.iter().product::<usize>()).sum();
        let head = if spec.tied_head { spec.vocab_size * spec.decoder.hidden_size } else { 0 };
        assert_eq!(spec.matrix_weights(), (matrices + head) as u128, "{config:?}");
    }
    assert!(matches!(load("plain").spec().decoder.mlp, MlpKind::Plain(_)));
}

#[test]
fn half_precision_comes_close() {
    let (model, batch) = (load("plain").quantize("nf4").unwrap(), expected("plain").batch());
    let tokens = Tensor::from_vec(batch.input_ids.clone(), (batch.rows, batch.width), &Device::Cpu).unwrap();
    let exact = steps(&model, &tokens, &ForwardCtx::default());
    let rounded = steps(&model, &tokens, &ForwardCtx { precision: Precision::Bf16, ..ForwardCtx::default() });
    assert!(largest_difference(&exact, &rounded) < 0.2);
}

#[test]
fn layers_are_named_and_targets_checked() {
    let model = load("plain");
    let kinds: Vec<String> = model.layers().into_iter().map(|layer| layer.kind).collect();
    assert_eq!(kinds[..3], ["embedding", "positions", "layer_norm"]);
    assert_eq!(kinds.last().unwrap(), "tied to transformer.wte");
    assert_eq!(model.weights("transformer.h.0.attn.c_attn.weight").unwrap().dims(), [96, 32]);
    assert_eq!(model.weights("lm_head.weight").unwrap().dims(), [40, 32]);
    let targets = LoraConfig { target_modules: vec!["c_atn".into()], ..LoraConfig::default() };
    let text = model.lora(&targets, 1).unwrap_err().to_string();
    assert!(text.contains("'c_attn'") && text.contains("c_fc"), "{text}");
}
