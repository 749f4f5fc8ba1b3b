//! Properties of all models, tested on tiny ones.

use std::collections::HashMap;

use candle_core::{Device, Tensor, Var};

use super::Model;
use crate::data::{Batch, IGNORE};
use crate::nn::{Cache, ForwardCtx, LlamaConfig, LoraConfig};

fn config(tied: bool) -> LlamaConfig {
    LlamaConfig {
        vocab_size: 23,
        hidden_size: 16,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        intermediate_size: 24,
        max_position_embeddings: 600,
        tie_word_embeddings: tied,
        initializer_range: 0.2,
        ..LlamaConfig::default()
    }
}

fn tiny() -> Model {
    Model::new(config(false), &Device::Cpu, 1).unwrap()
}

fn adapters() -> LoraConfig {
    LoraConfig { r: 3, lora_alpha: 6.0, ..LoraConfig::default() }
}

/// 2 × 7 ids, with a label in the middle that counts for nothing.
fn batch() -> Batch {
    let tokens: Vec<u32> = (0..14).map(|i| (i * i + 3) % 23).collect();
    let mut labels: Vec<u32> = tokens.iter().map(|t| (t * 5 + 1) % 23).collect();
    for i in [3, 6, 13] {
        labels[i] = IGNORE;
    }
    Batch { input_ids: tokens, labels, rows: 2, width: 7, ..Batch::default() }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn logits(model: &Model) -> Tensor {
    model.logits(&batch(), &ForwardCtx::default()).unwrap()
}

fn loss(model: &Model) -> f32 {
    model.loss(&batch(), &ForwardCtx::default()).unwrap().to_scalar().unwrap()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    values(a).iter().zip(values(b)).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

fn gradients(model: &Model) -> HashMap<String, Vec<f32>> {
    let store = model.loss(&batch(), &ForwardCtx::recording()).unwrap().backward().unwrap();
    model
        .parameters()
        .into_iter()
        .map(|p| {
            let gradient = store.get(p.var.as_tensor()).unwrap_or_else(|| panic!("{} has no gradient", p.name));
            (p.name, values(gradient))
        })
        .collect()
}

fn nudge(var: &Var, at: usize, by: f32) {
    let mut moved = values(var.as_tensor());
    moved[at] += by;
    var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap()).unwrap();
}

/// Gives every B random values, as training would.
fn train_b(model: &Model) {
    for (i, p) in model.parameters().iter().enumerate().filter(|(_, p)| p.name.contains("lora_B")) {
        let moved: Vec<f32> = (0..p.var.elem_count()).map(|k| ((k * 7 + i) as f32).sin() * 0.1).collect();
        p.var.set(&Tensor::from_vec(moved, p.var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
}

#[test]
fn every_parameter_gets_a_gradient() {
    let full = tiny();
    let lora = full.lora(&adapters(), 2).unwrap();
    let qlora = full.quantize("nf4").unwrap().lora(&adapters(), 2).unwrap();
    for (model, count) in [(full, 3 + 2 * 9), (lora, 2 * 7 * 2), (qlora, 2 * 7 * 2)] {
        assert_eq!(model.parameters().len(), count);
        for (name, gradient) in gradients(&model) {
            let fresh_a = name.contains("lora_A"); // B is zero, so A cannot matter yet
            assert_eq!(gradient.iter().all(|g| *g == 0.0), fresh_a, "{name}");
        }
        train_b(&model);
        for (name, gradient) in gradients(&model) {
            assert!(gradient.iter().any(|g| g.abs() > 1e-7), "{name}");
            assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
        }
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let step = 2e-3;
    let tied = Model::new(config(true), &Device::Cpu, 4).unwrap();
    let qlora = tiny().quantize("nf4").unwrap().lora(&adapters(), 2).unwrap();
    train_b(&qlora);
    let mut checked = 0;
    for model in [tiny(), tied, qlora] {
        let gradients = gradients(&model);
        for parameter in model.parameters() {
            let gradient = &gradients[&parameter.name];
            for at in [0, gradient.len() / 2, gradient.len() - 1] {
                nudge(&parameter.var, at, step);
                let above = loss(&model);
                nudge(&parameter.var, at, -2.0 * step);
                let below = loss(&model);
                nudge(&parameter.var, at, step);
                let slope = (above - below) / (2.0 * step);
                let error = (slope - gradient[at]).abs();
                assert!(error < 1e-3 + 0.02 * slope.abs(), "{} [{at}]: {slope} and {}", parameter.name, gradient[at]);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 3 * (21 + 20 + 28));
}

#[test]
fn the_cache_answers_as_the_whole_sequence_does() {
    let model = tiny();
    let pass = ForwardCtx::default();
    let (rows, length) = (2, 300); // beyond one chunk of the cache
    let ids: Vec<u32> = (0..rows * length).map(|i| (i * i % 23) as u32).collect();
    let tokens = Tensor::from_vec(ids, (rows, length), &Device::Cpu).unwrap();
    let whole = model.forward(&tokens, &pass).unwrap();
    let mut cache = Cache::new();
    let mut worst = 0f32;
    for (start, new) in [(0, 5), (5, 1), (6, 246), (252, 8), (260, 1), (261, 39)] {
        let part = tokens.narrow(1, start, new).unwrap();
        let mut fork = cache.clone();
        let step = model.step(&part, &mut cache, &pass).unwrap();
        let again = model.step(&part, &mut fork, &pass).unwrap();
        assert_eq!(values(&step), values(&again));
        let there = whole.narrow(1, start + new - 1, 1).unwrap().squeeze(1).unwrap();
        worst = worst.max(largest_difference(&step, &there));
        assert_eq!(cache.len(), start + new);
    }
    assert!(worst < 1e-4, "{worst}");
}

#[test]
fn a_forked_cache_goes_on_by_itself() {
    let model = tiny();
    let pass = ForwardCtx::default();
    let ids = |ids: &[u32]| Tensor::from_slice(ids, (1, ids.len()), &Device::Cpu).unwrap();
    let mut cache = Cache::new();
    model.step(&ids(&[1, 2, 3]), &mut cache, &pass).unwrap();
    let mut fork = cache.clone();
    model.step(&ids(&[4]), &mut cache, &pass).unwrap();
    model.step(&ids(&[9]), &mut fork, &pass).unwrap();
    let next = model.step(&ids(&[5]), &mut cache, &pass).unwrap();
    let whole = model.forward(&ids(&[1, 2, 3, 4, 5]), &pass).unwrap();
    assert!(largest_difference(&next, &whole.narrow(1, 4, 1).unwrap().squeeze(1).unwrap()) < 1e-4);
}

#[test]
fn a_stop_in_the_middle_leaves_the_cache_as_it_was() {
    let model = tiny();
    let pass = ForwardCtx::default();
    let mut cache = Cache::new();
    let ids = Tensor::from_slice(&[1u32, 2], (1, 2), &Device::Cpu).unwrap();
    model.step(&ids, &mut cache, &pass).unwrap();
    pass.interrupt.trigger();
    assert!(model.step(&ids, &mut cache, &pass).unwrap_err().is_interrupted());
    assert!(model.loss(&batch(), &pass).unwrap_err().is_interrupted());
    assert_eq!(cache.len(), 2);
}

#[test]
fn a_fresh_adapter_changes_nothing() {
    let model = tiny();
    let small = model.quantize("nf4").unwrap();
    assert_eq!(largest_difference(&logits(&model.lora(&adapters(), 5).unwrap()), &logits(&model)), 0.0);
    let adapted = small.lora(&adapters(), 5).unwrap();
    assert!(largest_difference(&logits(&adapted), &logits(&small)) < 1e-5);
    assert!(largest_difference(&logits(&small), &logits(&model)) > 1e-3, "4 bits are not nothing");
}

#[test]
fn merging_keeps_the_answers_and_frees_the_weights() {
    for base in [tiny(), tiny().quantize("nf4").unwrap()] {
        let adapted = base.lora(&LoraConfig { use_rslora: true, ..adapters() }, 5).unwrap();
        train_b(&adapted);
        let merged = adapted.merge().unwrap();
        assert!(largest_difference(&logits(&merged), &logits(&adapted)) < 1e-5);
        assert!(largest_difference(&logits(&merged), &logits(&base)) > 1e-3);
        assert_eq!(merged.trainable(), merged.params());
        let before = values(&logits(&base));
        for parameter in merged.parameters() {
            nudge(&parameter.var, 0, 1.0);
        }
        assert_eq!(values(&logits(&base)), before, "the merged model has memory of its own");
    }
}

#[test]
fn a_seed_means_one_model() {
    let weight = |seed| {
        let model = Model::new(config(false), &Device::Cpu, seed).unwrap();
        values(&model.weights("model.layers.1.mlp.up_proj.weight").unwrap())
    };
    assert_eq!(weight(7), weight(7));
    assert_ne!(weight(7), weight(8));
    let layers = |layer| values(&tiny().weights(&format!("model.layers.{layer}.mlp.up_proj.weight")).unwrap());
    assert_ne!(layers(0), layers(1));
}

#[test]
fn clones_share_the_weights_and_training_reaches_them() {
    let model = tiny();
    let (clone, adapted) = (model.clone(), model.lora(&adapters(), 1).unwrap());
    let before = values(&logits(&model));
    nudge(&model.parameters()[0].var, 3 * 16, 1.0); // the first id is 3
    assert_ne!(values(&logits(&model)), before);
    assert_eq!(values(&logits(&clone)), values(&logits(&model)));
    assert_eq!(values(&logits(&adapted)), values(&logits(&model)));
}

#[test]
fn the_table_counts_weights_and_bytes() {
    let model = tiny();
    let block = 16 * 16 * 2 + 8 * 16 * 2 + 3 * 16 * 24 + 2 * 16;
    assert_eq!(model.params(), 2 * 23 * 16 + 16 + 2 * block);
    assert_eq!(model.trainable(), model.params());
    assert_eq!(model.memory(), 4 * model.params());
    let small = model.quantize("nf4").unwrap();
    assert_eq!((small.params(), small.trainable()), (model.params(), 0));
    assert!(small.parameters().is_empty());
    let adapted = small.lora(&LoraConfig { target_modules: vec!["q_proj".into()], ..adapters() }, 1).unwrap();
    assert_eq!(adapted.trainable(), 2 * 3 * (16 + 16));
    let q = adapted.layers().into_iter().find(|l| l.name == "model.layers.0.self_attn.q_proj").unwrap();
    assert_eq!(q.kind, "linear nf4 + lora r=3");
    assert_eq!((q.params, q.trainable), (16 * 16 + 96, 96));
    let tied = Model::new(config(true), &Device::Cpu, 1).unwrap();
    assert_eq!(tied.layers().last().unwrap().kind, "tied to model.embed_tokens");
    assert_eq!(tied.params(), model.params() - 23 * 16);
}

#[test]
fn attention_rows_are_distributions_over_the_past() {
    let attention = tiny().attention(&batch(), 1).unwrap();
    assert_eq!(attention.dims(), [2, 4, 7, 7]);
    for (i, row) in values(&attention).chunks(7).enumerate() {
        let (sum, future) = (row.iter().sum::<f32>(), row[i % 7 + 1..].iter().sum::<f32>());
        assert!((sum - 1.0).abs() < 1e-5 && future == 0.0, "{row:?}");
    }
    assert!(tiny().attention(&batch(), 2).unwrap_err().hint().unwrap().contains("from 0 to 1"));
}

#[test]
fn dropout_follows_its_seed_and_leaves_evaluation_alone() {
    let adapted = tiny().lora(&LoraConfig { lora_dropout: 0.5, ..adapters() }, 3).unwrap();
    train_b(&adapted);
    let run = |seed| {
        let pass = ForwardCtx { dropout_seed: seed, ..ForwardCtx::default() };
        values(&adapted.logits(&batch(), &pass).unwrap())
    };
    assert_eq!(run(Some(1)), run(Some(1)));
    assert_ne!(run(Some(1)), run(Some(2)));
    assert_eq!(run(None), run(None));
    assert_ne!(run(None), run(Some(1)));
}

#[test]
fn mistakes_name_the_value_and_the_remedy() {
    let model = tiny();
    let pass = ForwardCtx::default();
    let text = |error: crate::Error| {
        assert!(error.is_mistake(), "{error}");
        error.to_string()
    };
    let ids = |ids: Vec<u32>| Tensor::from_slice(&ids, (1, ids.len()), &Device::Cpu).unwrap();
    let e = text(model.forward(&ids(vec![1, 23]), &pass).unwrap_err());
    assert!(e.contains("id 23 is beyond the model's vocabulary of 23"), "{e}");
    let e = text(model.forward(&ids(vec![1; 601]), &pass).unwrap_err());
    assert!(e.contains("position 600 is beyond max_position_embeddings 600"), "{e}");
    let mut cache = Cache::new();
    model.step(&ids(vec![1; 600]), &mut cache, &pass).unwrap();
    text(model.step(&ids(vec![1]), &mut cache, &pass).unwrap_err());
    let rows = Tensor::zeros((2, 1), candle_core::DType::U32, &Device::Cpu).unwrap();
    text(model.step(&rows, &mut { cache.clone() }, &pass).unwrap_err());
    let mut cache = Cache::new();
    model.step(&ids(vec![1]), &mut cache, &pass).unwrap();
    assert!(text(model.step(&rows, &mut cache, &pass).unwrap_err()).contains("another number of rows"));
    text(model.forward(&Tensor::zeros(3, candle_core::DType::U32, &Device::Cpu).unwrap(), &pass).unwrap_err());
    let ignored = Batch { labels: vec![IGNORE; 14], ..batch() };
    assert!(text(model.loss(&ignored, &pass).unwrap_err()).contains("no label"));
    text(model.loss(&Batch { labels: vec![23; 14], ..batch() }, &pass).unwrap_err());
    text(model.loss(&Batch { rows: 3, ..batch() }, &pass).unwrap_err());
    let e = text(model.quantize("nf5").unwrap_err());
    assert!(e.contains("'nf4'"), "{e}");
    let targets = LoraConfig { target_modules: vec!["q_porj".into()], ..adapters() };
    let e = text(model.lora(&targets, 1).unwrap_err());
    assert!(e.contains("'q_proj'") && e.contains("down_proj") && e.contains("lm_head"), "{e}");
    text(model.lora(&adapters(), 1).unwrap().lora(&adapters(), 1).unwrap_err());
    let e = text(model.weights("model.layers.0.self_attn.q_proj.wieght").unwrap_err());
    assert!(e.contains("'model.layers.0.self_attn.q_proj.weight'"), "{e}");
}
