//! Models: a transformer core, its configuration and its adapters.

mod adapt;
mod adapter_names;
mod adapters;
#[cfg(test)]
mod decode_tests;
mod deepen;
mod forward;
mod fresh_adapter;
#[cfg(test)]
#[cfg(feature = "cuda")]
mod gpu_decode_tests;
#[cfg(test)]
#[cfg(feature = "cuda")]
mod gpu_tests;
mod mixture;
mod model_parts;
#[cfg(test)]
mod packed_tests;
#[cfg(test)]
mod padded_tests;
mod random;
mod resize;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use candle_core::{Device, Tensor};

pub(crate) use self::adapter_names::{adapter_name, is_saved, magnitude_name, token_rows_name, trains_bias};
pub(crate) use self::adapters::{AdapterSource, Adapters, DEFAULT, NamedAdapter};
pub use self::table::{Layer, Parameter};
use crate::error::{Error, Result};
use crate::nn::core::{Transformer, WeightSource};
use crate::nn::passthrough::Passthrough;
use crate::nn::{ArchSpec, ModelConfig, families};

/// A transformer. Clones share the weights.
#[derive(Clone)]
pub struct Model {
    pub(crate) config: ModelConfig,
    pub(crate) core: Transformer,
    /// The adapters, of which `core` has those in use.
    pub(crate) adapters: Adapters,
    /// Where the weights were read from; an adapter's file says which base it is for.
    pub(crate) origin: Option<String>,
    /// Keys of its folder's `config.json` that are written back.
    pub(crate) kept: Arc<Passthrough>,
    device: Device,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut model = f.debug_struct("Model");
        model.field("config", &self.config).field("adapters", &self.active_adapters()).field("params", &self.params());
        model.finish_non_exhaustive()
    }
}

impl Model {
    /// A model with fresh weights drawn from `seed`; all of them train.
    ///
    /// # Errors
    /// See [`ModelConfig::validate`].
    ///
    /// ```
    /// use candle_core::Device;
    /// use etude::nn::{LlamaConfig, Model};
    ///
    /// let config = LlamaConfig {
    ///     vocab_size: 100,
    ///     hidden_size: 64,
    ///     num_hidden_layers: 1,
    ///     num_attention_heads: 2,
    ///     intermediate_size: 128,
    ///     max_position_embeddings: 32,
    ///     ..LlamaConfig::default()
    /// };
    /// let model = Model::new(&config, &Device::Cpu, 1)?;
    /// assert_eq!(model.params() as u128, model.spec().weights());
    /// assert_eq!(model.trainable(), model.params());
    /// assert!(Model::new(LlamaConfig { hidden_size: 63, ..config }, &Device::Cpu, 1).is_err());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn new(config: impl Into<ModelConfig>, device: &Device, seed: u64) -> Result<Self> {
        Self::build(&config.into(), device, &mut random::Random { seed, device })
    }

    /// The model of `config` with the weights of `source`.
    pub(crate) fn build(config: &ModelConfig, device: &Device, source: &mut dyn WeightSource) -> Result<Self> {
        let core = Transformer::build(&config.lower()?, families::names(config), source)?;
        let (config, device) = (config.clone(), device.clone());
        Ok(Self { config, core, adapters: Adapters::default(), origin: None, kept: Arc::default(), device })
    }

    /// Its configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Its architecture.
    pub fn spec(&self) -> &ArchSpec {
        &self.core.spec
    }

    /// The device of its weights.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A weight by its Hugging Face name, dequantised if it is kept in 4 bits. That of a linear layer is (out, in), whatever
    /// the order in files.
    ///
    /// # Errors
    /// An unknown name is refused with the nearest known one.
    pub fn weights(&self, name: &str) -> Result<Tensor> {
        if let Some(weight) = self.weights_in_order().find(|weight| weight.name() == name) {
            return Ok(weight.detached());
        }
        if let Some(linear) = self.core.linears().find(|l| name.strip_suffix(".weight") == Some(&l.name)) {
            return linear.base(&self.device);
        }
        if self.spec().tied_head && name.strip_suffix(".weight") == Some(families::names(&self.config).head) {
            return Ok(self.core.embedding.detached());
        }
        let mut known: Vec<String> = self.core.linears().map(|l| format!("{}.weight", l.name)).collect();
        known.extend(self.weights_in_order().map(|w| w.name().to_owned()));
        Err(match crate::error::nearest(name, &known.iter().map(String::as_str).collect::<Vec<_>>()) {
            Some(near) => Error::mistake(format!("no weight is called '{name}'"))
                .with_hint(format!("did you mean '{near}'? layers() lists all")),
            None => Error::mistake(format!("no weight is called '{name}'"))
                .with_hint(format!("names are those of the checkpoint, \"{}\" for one", self.core.embedding.name())),
        })
    }
}
