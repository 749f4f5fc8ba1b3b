//! The model a user holds: one transformer core, its parameters, its adapters.

mod adapt;
pub(crate) mod core;
#[cfg(test)]
mod decode_tests;
mod families;
mod forward;
mod fresh;
#[cfg(test)]
#[cfg(feature = "cuda")]
mod gpu_decode_tests;
#[cfg(test)]
#[cfg(feature = "cuda")]
mod gpu_tests;
mod pass;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::error::{Error, Result};
use crate::nn::weights::Kept;
use crate::nn::{LoraConfig, ModelConfig};

pub(crate) use adapt::adapter_name;
pub(crate) use families::{Family, Source};
pub use pass::Pass;
pub use table::{Layer, Parameter};

/// A transformer. Clones share the weights.
#[derive(Clone)]
pub struct Model {
    pub(crate) config: ModelConfig,
    pub(crate) core: core::Transformer,
    /// What the adapters are, if there are any.
    pub(crate) lora: Option<LoraConfig>,
    /// Where the weights were read from; an adapter's file says which base it is for.
    pub(crate) origin: Option<String>,
    /// What its folder said that is written again.
    pub(crate) kept: Arc<Kept>,
    device: Device,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut model = f.debug_struct("Model");
        model.field("config", &self.config).field("lora", &self.lora).field("params", &self.params());
        model.finish_non_exhaustive()
    }
}

impl Model {
    /// A model with fresh weights drawn from `seed`; all of them train.
    ///
    /// # Errors
    /// See [`ModelConfig::validate`].
    pub fn new(config: &ModelConfig, device: &Device, seed: u64) -> Result<Self> {
        Self::build(config, device, &mut fresh::Fresh { seed, device })
    }

    /// The model of `config` with the weights of `source`.
    pub(crate) fn build(config: &ModelConfig, device: &Device, source: &mut dyn Source) -> Result<Self> {
        config.validate()?;
        let core = Family::named(&config.model_type)?.build(config, source)?;
        Ok(Self {
            config: config.clone(),
            core,
            lora: None,
            origin: None,
            kept: Arc::default(),
            device: device.clone(),
        })
    }

    /// Its shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where it lives.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What its adapters are, if it has any.
    pub fn lora_config(&self) -> Option<&LoraConfig> {
        self.lora.as_ref()
    }

    /// A weight by its Hugging Face name, dequantised if it is kept in 4 bits.
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
        if name == "lm_head.weight" && self.config.tie_word_embeddings {
            return Ok(self.core.embedding.detached());
        }
        let mut known: Vec<String> = self.core.linears().map(|l| format!("{}.weight", l.name)).collect();
        known.extend(self.weights_in_order().map(|w| w.name().to_owned()));
        Err(match crate::error::nearest(name, &known.iter().map(String::as_str).collect::<Vec<_>>()) {
            Some(near) => Error::mistake(format!("no weight is called '{name}'"))
                .with_hint(format!("did you mean '{near}'? layers() lists all")),
            None => Error::mistake(format!("no weight is called '{name}'"))
                .with_hint("names are those of the checkpoint, \"model.embed_tokens.weight\" for one"),
        })
    }
}
