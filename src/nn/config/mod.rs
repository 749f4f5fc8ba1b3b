//! A model's shape, in the words of Hugging Face's `config.json`.

mod hf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::model::Family;

/// The shape of a transformer; names are those of `transformers`' `LlamaConfig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// The family: "llama".
    pub model_type: String,
    /// Number of ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Heads of keys and values; divides `num_attention_heads` (all of them when absent).
    pub num_key_value_heads: Option<usize>,
    /// Width of a head (`hidden_size / num_attention_heads` when absent).
    pub head_dim: Option<usize>,
    /// Width of the feed-forward.
    pub intermediate_size: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            model_type: "llama".into(),
            vocab_size: 0,
            hidden_size: 512,
            num_hidden_layers: 8,
            num_attention_heads: 8,
            num_key_value_heads: None,
            head_dim: None,
            intermediate_size: 1536,
            max_position_embeddings: 2048,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            tie_word_embeddings: false,
            initializer_range: 0.02,
        }
    }
}

/// A wider head is a slip of the keyboard: those of the largest models have 512.
const WIDEST_HEAD: usize = 1 << 14;

/// More weights than this are a slip of the keyboard, and asking for the memory would end the process.
const MOST_WEIGHTS: u128 = 20_000_000_000;

impl ModelConfig {
    /// Heads of keys and values.
    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Checks that the numbers fit each other.
    ///
    /// # Errors
    /// Names both keys that disagree and their values.
    pub fn validate(&self) -> Result<()> {
        Family::named(&self.model_type)?;
        self.check_sizes()?;
        self.check_heads()?;
        self.check_floats()?;
        match self.weights() {
            weights if weights > MOST_WEIGHTS => Err(Error::mistake(format!(
                "vocab_size {}, hidden_size {}, intermediate_size {} and num_hidden_layers {} make {} billion weights, \
                 {} GB in f32",
                self.vocab_size,
                self.hidden_size,
                self.intermediate_size,
                self.num_hidden_layers,
                weights / 1_000_000_000,
                weights / 250_000_000,
            ))
            .with_hint("configs/model has shapes from 4 to 155 million weights")),
            _ => Ok(()),
        }
    }

    fn check_sizes(&self) -> Result<()> {
        if self.vocab_size == 0 {
            return Err(
                Error::mistake("vocab_size is 0").with_hint("give the tokenizer's: #{ vocab_size: tok.vocab_size, … }")
            );
        }
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.kv_heads()),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        match sizes.iter().find(|(_, size)| *size == 0 || *size > u32::MAX as usize) {
            Some((key, 0)) => Err(Error::mistake(format!("{key} is 0")).with_hint("it must be 1 or more")),
            Some((key, size)) => Err(Error::mistake(format!("{key} is {size}, which no memory holds"))
                .with_hint("configs/model has shapes from 4 to 155 million weights")),
            None => Ok(()),
        }
    }

    fn check_heads(&self) -> Result<()> {
        let (hidden, heads, kv_heads) = (self.hidden_size, self.num_attention_heads, self.kv_heads());
        if self.head_dim.is_none() && !hidden.is_multiple_of(heads) {
            let below = hidden / heads * heads;
            return Err(Error::mistake(format!(
                "hidden_size {hidden} is not divisible by num_attention_heads {heads}"
            ))
            .with_hint(match below {
                0 => format!("take at most {hidden} heads, or hidden_size {heads}"),
                _ => format!("hidden_size {below} or {} would be", below + heads),
            }));
        }
        if !heads.is_multiple_of(kv_heads) {
            return Err(Error::mistake(format!(
                "num_attention_heads {heads} is not divisible by num_key_value_heads {kv_heads}"
            ))
            .with_hint("every head of keys and values serves the same number of attention heads"));
        }
        match (self.head_dim(), self.head_dim) {
            (dim, Some(_)) if dim > WIDEST_HEAD => Err(Error::mistake(format!("head_dim is {dim}"))
                .with_hint(format!("64 and 128 are usual, {WIDEST_HEAD} is the most"))),
            (dim, _) if dim > 0 && dim.is_multiple_of(2) => Ok(()),
            (dim, Some(_)) => {
                Err(Error::mistake(format!("head_dim is {dim}"))
                    .with_hint("rotary positions turn pairs: it must be even"))
            }
            (dim, None) => Err(Error::mistake(format!(
                "hidden_size {hidden} over num_attention_heads {heads} makes heads of odd width {dim}"
            ))
            .with_hint("rotary positions turn pairs: the width of a head must be even")),
        }
    }

    fn check_floats(&self) -> Result<()> {
        let floats = [
            ("rms_norm_eps", self.rms_norm_eps, self.rms_norm_eps > 0.0),
            ("rope_theta", self.rope_theta, self.rope_theta > 0.0),
            ("initializer_range", self.initializer_range, self.initializer_range >= 0.0),
        ];
        match floats.iter().find(|(_, value, right)| !right || !value.is_finite()) {
            Some((key, value, _)) => Err(Error::mistake(format!("{key} is {value}"))
                .with_hint("it must be a positive number; the usual ones are 1e-5, 10000 and 0.02")),
            None => Ok(()),
        }
    }

    fn weights(&self) -> u128 {
        let [vocab, hidden, inner, layers] =
            [self.vocab_size, self.hidden_size, self.intermediate_size, self.num_hidden_layers].map(|n| n as u128);
        let heads = (self.num_attention_heads + self.kv_heads()) as u128 * self.head_dim() as u128;
        let block = hidden.saturating_mul(2 * heads + 3 * inner + 2);
        block.saturating_mul(layers).saturating_add(2u128.saturating_mul(vocab).saturating_mul(hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> ModelConfig {
        ModelConfig { vocab_size: 100, hidden_size: 96, num_attention_heads: 4, ..ModelConfig::default() }
    }

    fn refusal(config: &ModelConfig) -> String {
        config.validate().expect_err("refused").to_string()
    }

    #[test]
    fn a_sound_shape_passes() {
        tiny().validate().unwrap();
        ModelConfig { num_key_value_heads: Some(2), head_dim: Some(10), ..tiny() }.validate().unwrap();
    }

    #[test]
    fn both_keys_and_values_are_named() {
        let text = refusal(&ModelConfig { hidden_size: 100, num_attention_heads: 3, ..tiny() });
        assert!(text.contains("hidden_size 100 is not divisible by num_attention_heads 3"), "{text}");
        assert!(text.contains("hidden_size 99 or 102"), "{text}");
        let text = refusal(&ModelConfig { num_key_value_heads: Some(3), ..tiny() });
        assert!(text.contains("num_attention_heads 4 is not divisible by num_key_value_heads 3"), "{text}");
        let text = refusal(&ModelConfig { hidden_size: 12, num_attention_heads: 4, ..tiny() });
        assert!(text.contains("hidden_size 12 over num_attention_heads 4"), "{text}");
    }

    #[test]
    fn zeros_and_nonsense_are_refused() {
        assert!(refusal(&ModelConfig { vocab_size: 0, ..tiny() }).contains("tok.vocab_size"));
        for config in [
            ModelConfig { num_attention_heads: 0, ..tiny() },
            ModelConfig { num_key_value_heads: Some(0), ..tiny() },
            ModelConfig { head_dim: Some(0), ..tiny() },
            ModelConfig { head_dim: Some(7), ..tiny() },
            ModelConfig { num_hidden_layers: 0, ..tiny() },
            ModelConfig { hidden_size: usize::MAX, num_attention_heads: 1, ..tiny() },
            ModelConfig { rope_theta: f64::NAN, ..tiny() },
            ModelConfig { rms_norm_eps: 0.0, ..tiny() },
            ModelConfig { initializer_range: -1.0, ..tiny() },
        ] {
            assert!(config.validate().is_err_and(|e| e.is_mistake()), "{config:?}");
        }
        let text = refusal(&ModelConfig { head_dim: Some(1_000_000), ..tiny() });
        assert!(text.contains("head_dim is 1000000") && text.contains("128 are usual"), "{text}");
        for config in [
            ModelConfig { hidden_size: 1_000_000_000_000_000_000, num_attention_heads: 1, ..tiny() },
            ModelConfig { num_hidden_layers: 1_000_000_000_000_000_000, ..tiny() },
        ] {
            let text = refusal(&config);
            assert!(text.contains("which no memory holds") && !text.contains("1 or more"), "{text}");
        }
        assert!(refusal(&ModelConfig { vocab_size: usize::MAX, ..tiny() }).contains("billion weights"));
        let text = refusal(&ModelConfig { hidden_size: 1 << 20, ..tiny() });
        assert!(text.contains("billion weights"), "{text}");
    }

    #[test]
    fn an_unknown_family_names_the_nearest() {
        let text = refusal(&ModelConfig { model_type: "lama".into(), ..tiny() });
        assert!(text.contains("did you mean 'llama'"), "{text}");
    }
}
