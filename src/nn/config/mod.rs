//! Model configurations: one strict struct for each family with the keys of its `config.json`, lowered to [`ArchSpec`].

mod check;
mod gpt2;
mod hf;
mod llama;
mod music_transformer;
mod rope;
mod spec;
mod t5;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::gpt2::Gpt2Config;
pub use self::llama::LlamaConfig;
pub use self::music_transformer::MusicTransformerConfig;
pub use self::rope::RopeParameters;
pub use self::spec::{
    ArchSpec, AttentionKind, AttentionScale, Biases, Initializer, MlpKind, NormKind, Positions, StackSpec,
};
pub use self::t5::T5Config;
use crate::error::{Error, Result};

/// The configuration of a model of any family.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant)] // a model has one
pub enum ModelConfig {
    /// "llama"
    Llama(LlamaConfig),
    /// "gpt2"
    Gpt2(Gpt2Config),
    /// "t5"
    T5(T5Config),
    /// "music_transformer"
    MusicTransformer(MusicTransformerConfig),
}

/// The families, as `model_type` names them.
const FAMILIES: [&str; 4] = ["llama", "gpt2", "t5", "music_transformer"];

/// Reads the options of one family: strictly for a user's, as they are for a file's.
pub trait ReadOptions {
    /// The options in `map`.
    ///
    /// # Errors
    /// Names the key that is unknown or has a value of the wrong kind.
    fn read<T: DeserializeOwned>(&self, map: Value) -> Result<T>;
}

impl ModelConfig {
    /// The configuration in `map`, of the family that its `model_type` names; "llama" where it names none.
    ///
    /// # Errors
    /// An unknown family is refused with the nearest known one; and what `reader` fails with.
    pub fn read(map: Value, reader: &impl ReadOptions) -> Result<Self> {
        match map.get("model_type").and_then(Value::as_str) {
            None | Some("llama") => Ok(Self::Llama(reader.read::<LlamaConfig>(map)?.with_one_theta())),
            Some("gpt2") => Ok(Self::Gpt2(reader.read(map)?)),
            Some("t5") => Ok(Self::T5(reader.read::<T5Config>(map)?.in_the_words_of_files())),
            Some("music_transformer") => Ok(Self::MusicTransformer(reader.read(map)?)),
            Some(other) => Err(Error::unknown("model_type", other, &FAMILIES)),
        }
    }

    /// The family: "llama", "gpt2", "t5", "music_transformer".
    pub fn model_type(&self) -> &'static str {
        match self {
            Self::Llama(_) => "llama",
            Self::Gpt2(_) => "gpt2",
            Self::T5(_) => "t5",
            Self::MusicTransformer(_) => "music_transformer",
        }
    }

    /// The architecture that it describes.
    ///
    /// # Errors
    /// Names both keys that disagree and their values.
    pub fn lower(&self) -> Result<ArchSpec> {
        match self {
            Self::Llama(config) => config.lower(),
            Self::Gpt2(config) => config.lower(),
            Self::T5(config) => config.lower(),
            Self::MusicTransformer(config) => config.lower(),
        }
    }

    /// That of a LLaMA, if it is one.
    pub fn llama(&self) -> Option<&LlamaConfig> {
        match self {
            Self::Llama(config) => Some(config),
            Self::Gpt2(_) | Self::T5(_) | Self::MusicTransformer(_) => None,
        }
    }

    /// The same with a head of its own, for families whose files say so by their weights alone; `None` for the others.
    pub(in crate::nn) fn with_own_head(&self) -> Option<Self> {
        match self {
            Self::T5(config) => Some(Self::T5(config.with_own_head())),
            Self::Llama(_) | Self::Gpt2(_) | Self::MusicTransformer(_) => None,
        }
    }

    /// Checks that the numbers fit each other.
    ///
    /// # Errors
    /// As [`ModelConfig::lower`].
    pub fn validate(&self) -> Result<()> {
        self.lower().map(drop)
    }
}

impl LlamaConfig {
    /// Keeps the base of the angles in one place, and drops rope parameters without effect.
    fn with_one_theta(mut self) -> Self {
        if let Some(theta) = self.rope_parameters.as_mut().and_then(|rope| rope.rope_theta.take()) {
            self.rope_theta = theta;
        }
        self.rope_parameters = self.rope_parameters.filter(|rope| !rope.is_plain());
        self
    }
}

impl From<LlamaConfig> for ModelConfig {
    fn from(config: LlamaConfig) -> Self {
        Self::Llama(config)
    }
}

impl From<&LlamaConfig> for ModelConfig {
    fn from(config: &LlamaConfig) -> Self {
        Self::Llama(config.clone())
    }
}

impl From<Gpt2Config> for ModelConfig {
    fn from(config: Gpt2Config) -> Self {
        Self::Gpt2(config)
    }
}

impl From<&Gpt2Config> for ModelConfig {
    fn from(config: &Gpt2Config) -> Self {
        Self::Gpt2(config.clone())
    }
}

impl From<T5Config> for ModelConfig {
    fn from(config: T5Config) -> Self {
        Self::T5(config)
    }
}

impl From<&T5Config> for ModelConfig {
    fn from(config: &T5Config) -> Self {
        Self::T5(config.clone())
    }
}

impl From<MusicTransformerConfig> for ModelConfig {
    fn from(config: MusicTransformerConfig) -> Self {
        Self::MusicTransformer(config)
    }
}

impl From<&Self> for ModelConfig {
    fn from(config: &Self) -> Self {
        config.clone()
    }
}
