//! The model a user holds: one transformer core, its parameters, its adapters.

use std::path::Path;

use candle_core::{Device, Tensor, Var};

use crate::data::Batch;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::{Cache, LoraConfig, ModelConfig};

/// How to go through the model once: training draws dropout from `seed`, evaluation (None) drops nothing; every op
/// asks `interrupt`.
#[derive(Debug, Clone, Default)]
pub struct Pass {
    /// Seed of the dropout masks; `None` when evaluating.
    pub dropout_seed: Option<u64>,
    /// Asked by every op, forward and backward.
    pub interrupt: Interrupt,
}

/// A trainable tensor with its Hugging Face name.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// "model.layers.0.self_attn.q_proj.lora_A.weight"
    pub name: String,
    /// The values; updated in place.
    pub var: Var,
}

/// A line of the model table.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// "model.layers.0.self_attn.q_proj"
    pub name: String,
    /// "embedding", "rms_norm", "linear", "linear nf4", "linear nf4 + lora r=8"
    pub kind: String,
    /// Shape of its weight.
    pub shape: Vec<usize>,
    /// Weights in it, adapters included.
    pub params: usize,
    /// Weights of it that train.
    pub trainable: usize,
    /// Bytes it holds.
    pub bytes: usize,
}

/// A transformer. Clones share the weights.
#[derive(Debug, Clone)]
pub struct Model {}

impl Model {
    /// A model with fresh weights drawn from `seed`; all of them train.
    ///
    /// # Errors
    /// See [`ModelConfig::validate`].
    pub fn new(_config: &ModelConfig, _device: &Device, _seed: u64) -> Result<Self> {
        todo!()
    }

    /// The small pretrained base inside the binary, NF4.
    ///
    /// # Errors
    /// Only when the device refuses memory.
    pub fn base(_device: &Device) -> Result<Self> {
        todo!()
    }

    /// The `tokenizer.json` of [`Model::base`].
    pub fn base_tokenizer() -> &'static str {
        todo!()
    }

    /// Reads a Hugging Face folder: `config.json`, `model.safetensors` (plain or bitsandbytes NF4), and an adapter if
    /// `adapter_config.json` lies there too.
    ///
    /// # Errors
    /// Names the file, and the tensor that is missing or has another shape.
    pub fn load(_dir: &Path, _device: &Device) -> Result<Self> {
        todo!()
    }

    /// Writes what [`Model::load`] reads, atomically.
    ///
    /// # Errors
    /// Names the path when the file system refuses.
    pub fn save(&self, _dir: &Path) -> Result<()> {
        todo!()
    }

    /// Writes the adapter as PEFT does: `adapter_config.json`, `adapter_model.safetensors`.
    ///
    /// # Errors
    /// A model without adapters is refused.
    pub fn save_adapter(&self, _dir: &Path) -> Result<()> {
        todo!()
    }

    /// This model with the adapter of a PEFT folder.
    ///
    /// # Errors
    /// Names the tensor that is missing or has another shape.
    pub fn load_adapter(&self, _dir: &Path) -> Result<Self> {
        todo!()
    }

    /// Its shape.
    pub fn config(&self) -> &ModelConfig {
        todo!()
    }

    /// Where it lives.
    pub fn device(&self) -> &Device {
        todo!()
    }

    /// A copy whose block weights are frozen in NF4 with double quantisation; embedding, norms and head stay.
    ///
    /// # Errors
    /// `scheme` other than "nf4" is refused.
    pub fn quantize(&self, _scheme: &str) -> Result<Self> {
        todo!()
    }

    /// A copy that shares the weights, frozen, and has fresh adapters; it answers the same until they train.
    ///
    /// # Errors
    /// Names a target module that the model has not.
    pub fn lora(&self, _config: &LoraConfig, _seed: u64) -> Result<Self> {
        todo!()
    }

    /// A plain model, all of it trainable, whose weights are the dequantised base plus the adapters.
    ///
    /// # Errors
    /// Only when the device refuses memory.
    pub fn merge(&self) -> Result<Self> {
        todo!()
    }

    /// Number of weights, adapters included; 4-bit weights count one each.
    pub fn params(&self) -> usize {
        self.layers().iter().map(|l| l.params).sum()
    }

    /// Number of weights that train.
    pub fn trainable(&self) -> usize {
        self.layers().iter().map(|l| l.trainable).sum()
    }

    /// Bytes of all weights.
    pub fn memory(&self) -> usize {
        self.layers().iter().map(|l| l.bytes).sum()
    }

    /// The layers, in the order of the forward pass.
    pub fn layers(&self) -> Vec<Layer> {
        todo!()
    }

    /// What trains: the adapters if there are any, else everything.
    pub fn parameters(&self) -> Vec<Parameter> {
        todo!()
    }

    /// A weight by its Hugging Face name, dequantised if it is kept in 4 bits.
    ///
    /// # Errors
    /// An unknown name is refused with the nearest known one.
    pub fn weights(&self, _name: &str) -> Result<Tensor> {
        todo!()
    }

    /// Logits of ids (batch, time) -> (batch, time, vocabulary), f32.
    ///
    /// # Errors
    /// Ids beyond the vocabulary, sequences beyond `max_position_embeddings`, or a stop.
    pub fn forward(&self, _tokens: &Tensor, _pass: &Pass) -> Result<Tensor> {
        todo!()
    }

    /// Logits of a batch; see [`Model::forward`].
    ///
    /// # Errors
    /// See [`Model::forward`].
    pub fn logits(&self, _batch: &Batch, _pass: &Pass) -> Result<Tensor> {
        todo!()
    }

    /// Mean cross-entropy (nats) over the labels of a batch that count; a scalar that `backward` can start from.
    ///
    /// # Errors
    /// See [`Model::forward`]; a batch whose labels all count for nothing is refused.
    pub fn loss(&self, _batch: &Batch, _pass: &Pass) -> Result<Tensor> {
        todo!()
    }

    /// Takes new ids (batch, new) into the cache and gives the logits of the last of them: (batch, vocabulary).
    ///
    /// # Errors
    /// See [`Model::forward`].
    pub fn step(&self, _tokens: &Tensor, _cache: &mut Cache, _pass: &Pass) -> Result<Tensor> {
        todo!()
    }

    /// Attention weights of one layer over a batch: (batch, heads, time, time).
    ///
    /// # Errors
    /// Names a layer that the model has not.
    pub fn attention(&self, _batch: &Batch, _layer: usize) -> Result<Tensor> {
        todo!()
    }
}
