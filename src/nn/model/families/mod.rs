//! Families: what a Hugging Face `model_type` calls the parts of the core, and what its files may ask for.

mod llama;

use serde_json::{Map, Value};

use super::core::{Linear, Transformer, Weight};
use crate::error::{Error, Result};
use crate::nn::ModelConfig;
use crate::nn::init::Init;

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// LLaMA (Touvron et al. 2023).
    Llama,
}

/// Where the weights of a model come from: drawn, or read from files.
pub(crate) trait Source {
    /// The tensor called `name`; `init` is how a fresh one begins.
    fn weight(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Weight>;

    /// The linear layer called `name`, (out, in).
    fn linear(&mut self, name: &str, shape: (usize, usize), init: Init) -> Result<Linear>;
}

impl Family {
    /// The family called `name`.
    ///
    /// # Errors
    /// An unknown name is refused with the nearest known one.
    pub(crate) fn named(name: &str) -> Result<Self> {
        match name {
            "llama" => Ok(Self::Llama),
            _ => Err(Error::unknown("model_type", name, &["llama"])),
        }
    }

    /// The model of `config`, its weights taken from `source` in the order of the forward pass.
    pub(crate) fn build(self, config: &ModelConfig, source: &mut dyn Source) -> Result<Transformer> {
        match self {
            Self::Llama => llama::build(config, source),
        }
    }

    /// Refuses a `config.json` that asks for more than the family has here.
    pub(crate) fn refuse_foreign(self, file: &Map<String, Value>) -> Result<()> {
        match self {
            Self::Llama => llama::refuse_foreign(file),
        }
    }
}
