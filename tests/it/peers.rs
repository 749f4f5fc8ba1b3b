//! Models written for `tests/peers/hf_roundtrip.py`, which loads them in Python and compares the answers.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use etude::nn::{Dtype, LoraConfig, Model, ModelConfig, Pass};

fn model(tied: bool) -> Model {
    let config = ModelConfig {
        vocab_size: 61,
        hidden_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        intermediate_size: 128,
        max_position_embeddings: 128,
        rope_theta: 2500.0,
        rms_norm_eps: 2e-5,
        tie_word_embeddings: tied,
        initializer_range: 0.15,
        ..ModelConfig::default()
    };
    Model::new(&config, &Device::Cpu, 3).unwrap()
}

fn adapted(model: &Model, config: &LoraConfig) -> Model {
    let adapted = model.lora(config, 5).unwrap();
    for parameter in adapted.parameters() {
        let moved = (parameter.var.as_tensor() + 0.02).unwrap();
        parameter.var.set(&moved).unwrap();
    }
    adapted
}

#[test]
#[ignore = "tests/peers/hf_roundtrip.py runs it, with ETUDE_PEERS set to a folder"]
fn write_models_for_the_peers() {
    let out = PathBuf::from(std::env::var("ETUDE_PEERS").expect("ETUDE_PEERS names a folder"));
    let some =
        LoraConfig { r: 4, target_modules: vec!["q_proj".into(), "mlp.up_proj".into()], ..LoraConfig::default() };
    let stable = LoraConfig { r: 8, use_rslora: true, lora_dropout: 0.1, ..LoraConfig::default() };
    let (free, tied) = (model(false), model(true));
    let small = tied.quantize("nf4").unwrap();
    let models = [
        ("plain", free.clone(), Dtype::F32),
        ("tied", tied.clone(), Dtype::F32),
        ("half", Model::load(&half(&out, &tied), &Device::Cpu).unwrap(), Dtype::Bf16),
        ("nf4", small.clone(), Dtype::F32),
        ("lora", adapted(&free, &some), Dtype::F32),
        ("qlora", adapted(&small, &stable), Dtype::F32),
        ("merged", adapted(&free, &stable).merge().unwrap(), Dtype::F32),
    ];
    let ids: Vec<u32> = (0..40).map(|i| (i * i + 5 * i) % 61).collect();
    let tokens = Tensor::from_vec(ids, (2, 20), &Device::Cpu).unwrap();
    for (name, model, dtype) in models {
        let dir = out.join(name);
        model.save_with(&dir, dtype).unwrap();
        let logits = model.forward(&tokens, &Pass::default()).unwrap();
        let answers = HashMap::from([("tokens", tokens.clone()), ("logits", logits)]);
        candle_core::safetensors::save(&answers, dir.join("expected.safetensors")).unwrap();
    }
}

/// A folder of `model` in bf16, so that what is compared has been rounded before.
fn half(out: &std::path::Path, model: &Model) -> PathBuf {
    let dir = out.join("half");
    model.save_with(&dir, Dtype::Bf16).unwrap();
    dir
}
