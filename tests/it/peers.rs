//! What checks in Python ask of the library: models for `tests/peers/hf_roundtrip.py`, which loads them and compares the
//! answers, and the choices of sweeps for `tests/peers/sweeps.py`.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use etude::data::EncoderInput;
use etude::nn::{Dtype, ForwardCtx, Gpt2Config, LlamaConfig, LoraConfig, Model, T5Config};
use etude::sweep::{Course, Sweep, SweepConfig};
use etude::train::{AdamW, AdamWOptions, Grads};
use serde_json::{Value, json};

use crate::expected::Expected;

fn model(tied: bool) -> Model {
    let config = LlamaConfig {
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
        ..LlamaConfig::default()
    };
    Model::new(&config, &Device::Cpu, 3).unwrap()
}

fn gpt2() -> Model {
    let config = Gpt2Config {
        vocab_size: 61,
        hidden_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        max_position_embeddings: 128,
        scale_attn_by_inverse_layer_idx: true,
        initializer_range: 0.15,
        ..Gpt2Config::default()
    };
    let model = Model::new(&config, &Device::Cpu, 3).unwrap();
    for (i, parameter) in model.parameters().iter().enumerate().filter(|(_, p)| p.name.ends_with("bias")) {
        let values: Vec<f32> = (0..parameter.var.elem_count()).map(|j| ((i * 31 + j * 7) as f32).sin() * 0.2).collect();
        parameter.var.set(&Tensor::from_vec(values, parameter.var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    model
}

fn t5(version_1_1: bool) -> Model {
    let config = T5Config {
        vocab_size: 61,
        hidden_size: 64,
        num_hidden_layers: 2,
        num_decoder_layers: Some(3),
        num_attention_heads: 4,
        intermediate_size: 128,
        feed_forward_proj: if version_1_1 { "gated-gelu" } else { "relu" }.into(),
        tie_word_embeddings: !version_1_1,
        ..T5Config::default()
    };
    Model::new(&config, &Device::Cpu, 3).unwrap()
}

/// A model with adapters, all that trains in which has changed.
pub(crate) fn adapted(model: &Model, config: &LoraConfig) -> Model {
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
        ("gpt2", gpt2(), Dtype::F32),
        ("gpt2_lora", adapted(&gpt2(), &LoraConfig { r: 4, ..LoraConfig::default() }), Dtype::F32),
        ("gpt2_nf4", gpt2().quantize("nf4").unwrap(), Dtype::F32),
        ("t5", t5(false), Dtype::F32),
        ("t5_gated", t5(true), Dtype::F32),
        ("t5_lora", adapted(&t5(true), &LoraConfig { r: 4, ..LoraConfig::default() }), Dtype::F32),
        ("t5_nf4", t5(false).quantize("nf4").unwrap(), Dtype::F32),
        ("t5_qlora", adapted(&t5(true).quantize("nf4").unwrap(), &stable), Dtype::F32),
        ("merged", adapted(&free, &stable).merge().unwrap(), Dtype::F32),
    ];
    let ids: Vec<u32> = (0..40).map(|i| (i * i + 5 * i) % 61).collect();
    let tokens = Tensor::from_vec(ids, (2, 20), &Device::Cpu).unwrap();
    for (name, model, dtype) in models {
        let dir = out.join(name);
        model.save_with(&dir, dtype).unwrap();
        let mut answers = HashMap::from([("tokens", tokens.clone())]);
        let logits = if model.has_encoder() {
            let source = EncoderInput::padded(&[(3..40).collect(), (20..31).collect()], 0);
            let ids = source.input_ids.clone();
            let mask = source.attention_mask.iter().map(|&seen| u32::from(seen)).collect();
            let tensor = |values: Vec<u32>| Tensor::from_vec(values, (2, source.width), &Device::Cpu).unwrap();
            answers.extend([("source", tensor(ids)), ("source_mask", tensor(mask))]);
            model.forward_with(&tokens, &source, &ForwardCtx::default()).unwrap()
        } else {
            model.forward(&tokens, &ForwardCtx::default()).unwrap()
        };
        answers.insert("logits", logits);
        candle_core::safetensors::save(&answers, dir.join("expected.safetensors")).unwrap();
    }
}

/// A folder of `model` in bf16, so that what is compared has been rounded before.
fn half(out: &std::path::Path, model: &Model) -> PathBuf {
    let dir = out.join("half");
    model.save_with(&dir, Dtype::Bf16).unwrap();
    dir
}

/// Adapters that `tests/peers/adapters.py` made or asks for: their logits, their files, the losses of runs.
#[test]
#[ignore = "tests/peers/adapters.py runs it, with ETUDE_PEERS set to a folder"]
fn answer_about_adapters() {
    let dir = PathBuf::from(std::env::var("ETUDE_PEERS").expect("ETUDE_PEERS names a folder"));
    let jobs: Vec<Value> = serde_json::from_slice(&std::fs::read(dir.join("adapters.json")).unwrap()).unwrap();
    assert!(jobs.len() > 50, "only {} jobs", jobs.len());
    for job in &jobs {
        let path = |key: &str| job[key].as_str().map(PathBuf::from);
        let base = Model::load(&path("base").unwrap(), &Device::Cpu).unwrap();
        let folder = path("adapter").or_else(|| path("out")).unwrap();
        let batch = Expected::of(&folder).batch();
        let logits = |model: &Model| model.logits(&batch, &ForwardCtx::default()).unwrap();
        let mut answers = HashMap::new();
        if let Some(adapter) = path("adapter") {
            let model = base.load_adapter(&adapter).unwrap_or_else(|e| panic!("{}: {e}", adapter.display()));
            answers.extend([("logits", logits(&model)), ("merged", logits(&model.merge().unwrap()))]);
            model.save_adapter(&folder.join("back")).unwrap();
        } else if let Some(steps) = job["steps"].as_u64() {
            let base = if job["quantize"] == true { base.quantize("nf4").unwrap() } else { base };
            base.save(&folder.join("base")).unwrap();
            let model = base.lora(&serde_json::from_value(job["config"].clone()).unwrap(), 5).unwrap();
            model.save_adapter(&folder).unwrap();
            let number = |key: &str| job[key].as_f64().unwrap();
            let (lr, loraplus_lr_ratio) = (number("lr"), number("loraplus_lr_ratio"));
            let options = AdamWOptions { lr, loraplus_lr_ratio, weight_decay: 0.0, ..AdamWOptions::default() };
            let mut optimizer = AdamW::new(model.parameters(), options).unwrap();
            let step = |_| {
                let (loss, tape) = model.taped_loss(&batch, &ForwardCtx::default()).unwrap();
                let grads = Grads::backward_consuming(tape, &loss, 1.0, &model.parameters()).unwrap();
                optimizer.step(&grads).unwrap();
                loss.to_scalar::<f32>().unwrap()
            };
            let losses: Vec<f32> = (0..steps).map(step).collect();
            answers.insert("losses", Tensor::new(losses, &Device::Cpu).unwrap());
        } else {
            let model = adapted(&base, &serde_json::from_value(job["config"].clone()).unwrap());
            answers.insert("logits", logits(&model));
            model.save_adapter(&folder.join("back")).unwrap();
        }
        candle_core::safetensors::save(&answers, folder.join("answers.safetensors")).unwrap();
    }
}

/// Grids, hyperband's decisions and quantiles for `tests/peers/sweeps.py`.
#[test]
#[ignore = "tests/peers/sweeps.py runs it, with ETUDE_PEERS set to a folder"]
fn answer_about_sweeps() {
    let dir = PathBuf::from(std::env::var("ETUDE_PEERS").expect("ETUDE_PEERS names a folder"));
    let jobs: Vec<Value> = serde_json::from_slice(&std::fs::read(dir.join("sweeps.json")).unwrap()).unwrap();
    let answers: Vec<Value> = jobs.iter().map(answer).collect();
    assert!(answers.len() > 100, "only {} questions", answers.len());
    std::fs::write(dir.join("answers.json"), serde_json::to_vec(&answers).unwrap()).unwrap();
}

fn answer(job: &Value) -> Value {
    if let Some(config) = job.get("grid") {
        let mut sweep = Sweep::new(config.clone(), 0).unwrap_or_else(|e| panic!("{config}: {e}"));
        let most = job["most"].as_u64().unwrap();
        let trials = (0..most).map_while(|_| sweep.next_trial().unwrap());
        return trials.map(|trial| Value::Object(trial.params)).collect();
    }
    if let Some(config) = job.get("stop") {
        let config = SweepConfig::parse(config).unwrap_or_else(|e| panic!("{config}: {e}"));
        let sign = if config.metric.is_some_and(|metric| metric.maximize) { -1.0 } else { 1.0 };
        let runs = job["runs"].as_array().unwrap();
        let costs = |run: &Value| -> Vec<f64> {
            run["values"].as_array().unwrap().iter().map(|v| sign * v.as_f64().unwrap_or(f64::NAN)).collect()
        };
        let costs: Vec<Vec<f64>> = runs.iter().map(costs).collect();
        let running = |run: &Value| run["running"].as_bool().unwrap();
        let courses: Vec<Course<'_>> =
            runs.iter().zip(&costs).map(|(run, values)| Course { values, running: running(run) }).collect();
        return json!(config.early_terminate.unwrap().stops(&courses));
    }
    let config = json!({ "method": "random", "parameters": { "x": job["quantiles"] } });
    let config = SweepConfig::parse(&config).unwrap_or_else(|e| panic!("{config}: {e}"));
    let at = |u: &Value| config.space.at(&[u.as_f64().unwrap()])["x"].clone();
    job["at"].as_array().unwrap().iter().map(at).collect()
}
