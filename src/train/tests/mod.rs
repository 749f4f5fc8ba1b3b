//! Training of a tiny model on generated rows.

mod course;
#[cfg(feature = "cuda")]
mod gpu;
mod resume;
mod step;

use std::sync::Arc;

use candle_core::Device;

use crate::data::{Dataset, DatasetOptions, Split};
use crate::nn::{LlamaConfig, LoraConfig, Model};
use crate::tokens::{Options, Tokenizer};
use crate::train::{BatchSize, TrainOptions, Trainer};

/// Rows of a simple tune in several keys; some are shorter than others and get padding.
fn rows(tokenizer: &Tokenizer, count: usize) -> Vec<Vec<u32>> {
    let id = |name: String| tokenizer.id(&name).expect("a token of the encoding");
    let row = |n: usize| {
        let mut ids = vec![tokenizer.bos(), id(format!("Velocity_{}", 10 + n % 4))];
        for i in 0..5 - n % 3 {
            let pitch = 50 + (n * 5 + i * 2) % 24;
            ids.extend([id(format!("NoteOn_{pitch}")), id("TimeShift_25".into()), id(format!("NoteOff_{pitch}"))]);
        }
        ids.push(tokenizer.eos());
        ids
    };
    (0..count).map(row).collect()
}

pub(super) fn dataset() -> Dataset {
    let tokenizer = Tokenizer::new("performance", &Options::default()).expect("a known name");
    let all = rows(&tokenizer, 24);
    Dataset {
        train: Split::from_rows(&all[..18], &tokenizer).expect("ids of the tokenizer"),
        val: Split::from_rows(&all[18..], &tokenizer).expect("ids of the tokenizer"),
        files: Vec::new(),
        val_files: Vec::new(),
        broken: Vec::new(),
        tokenizer: Arc::new(tokenizer),
        options: DatasetOptions::default(),
        sources: Vec::new(),
        source: None,
    }
}

pub(super) fn model() -> Model {
    let config = LlamaConfig {
        vocab_size: dataset().tokenizer.vocab_size(),
        hidden_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 128,
        max_position_embeddings: 32,
        ..LlamaConfig::default()
    };
    Model::new(&config, &Device::Cpu, 1).expect("a valid shape")
}

/// A model in 4 bits with adapters, which drop some of their inputs.
pub(super) fn adapted() -> Model {
    let config = LoraConfig { r: 4, lora_alpha: 8.0, lora_dropout: 0.1, ..LoraConfig::default() };
    model().quantize("nf4").and_then(|model| model.lora(&config, 2)).expect("a model with linear layers")
}

pub(super) fn options() -> TrainOptions {
    TrainOptions { lr: 1e-3, batch_size: BatchSize::Rows(2), max_steps: 6, ..TrainOptions::default() }
}

fn trainer(model: Model, options: TrainOptions) -> Trainer {
    Trainer::new(model, dataset(), options).expect("all fits")
}

pub(super) fn values(model: &Model) -> Vec<f32> {
    let flat = |var: &candle_core::Var| var.flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("f32");
    model.parameters().iter().flat_map(|parameter| flat(&parameter.var)).collect()
}

pub(super) fn losses(trainer: &Trainer) -> Vec<f64> {
    trainer.history().iter().map(|step| step.loss).collect()
}
