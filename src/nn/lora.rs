//! Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) in the words of PEFT's `LoraConfig`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::forms::one_or_many;

/// The options of low-rank adapters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank.
    pub r: usize,
    /// The update is scaled by `lora_alpha / r`, or `lora_alpha / √r` with `use_rslora`.
    pub lora_alpha: f64,
    /// Share of the adapter's inputs dropped in training.
    pub lora_dropout: f64,
    /// Names of the linear layers that get one ("q_proj", "layers.1.mlp.up_proj"), or regular expressions of whole names;
    /// "all-linear" means all but the head.
    #[serde(deserialize_with = "one_or_many")]
    pub target_modules: Vec<String>,
    /// The blocks whose layers get one, counted from 0 (all when absent).
    pub layers_to_transform: Option<Vec<usize>>,
    /// Rank-stabilised scaling (Kalajdzievski 2023).
    pub use_rslora: bool,
    /// Magnitudes of their own for the rows of the weights (DoRA, Liu et al. 2024).
    pub use_dora: bool,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            r: 8,
            lora_alpha: 16.0,
            lora_dropout: 0.0,
            target_modules: vec![ALL_LINEAR.into()],
            layers_to_transform: None,
            use_rslora: false,
            use_dora: false,
        }
    }
}

/// PEFT's word for every linear layer but the head.
pub(crate) const ALL_LINEAR: &str = "all-linear";

/// The highest rank that is accepted: no layer is wider.
const HIGHEST_RANK: usize = 1 << 14;

impl LoraConfig {
    /// The factor of the update.
    ///
    /// ```
    /// use etude::nn::LoraConfig;
    ///
    /// let config = LoraConfig { r: 16, lora_alpha: 32.0, ..LoraConfig::default() };
    /// assert_eq!(config.scale(), 2.0);
    /// assert_eq!(LoraConfig { use_rslora: true, ..config }.scale(), 8.0);
    /// ```
    pub fn scale(&self) -> f64 {
        let r = self.r as f64;
        if self.use_rslora { self.lora_alpha / r.sqrt() } else { self.lora_alpha / r }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the option and its value.
    pub fn validate(&self) -> Result<()> {
        let Self { r, lora_alpha, lora_dropout, .. } = self;
        if *r == 0 || *r > HIGHEST_RANK {
            return Err(Error::mistake(format!("r is {r}")).with_hint("ranks from 4 to 64 are usual"));
        }
        if !lora_alpha.is_finite() || *lora_alpha <= 0.0 {
            return Err(
                Error::mistake(format!("lora_alpha is {lora_alpha}")).with_hint("it must be positive; 2 · r is usual")
            );
        }
        if !(0.0..1.0).contains(lora_dropout) {
            return Err(Error::mistake(format!("lora_dropout is {lora_dropout}")).with_hint("it must be in 0 ≤ x < 1"));
        }
        if self.target_modules.is_empty() {
            return Err(Error::mistake("target_modules is empty").with_hint("[\"all-linear\"] is all of them"));
        }
        Ok(())
    }
}

/// Whether `target` names the layer: the whole name, or the end of it from a dot on, as PEFT matches lists.
pub(crate) fn matches(target: &str, layer: &str) -> bool {
    layer.strip_suffix(target).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_match_whole_parts_of_a_name() {
        let layer = "model.layers.0.self_attn.q_proj";
        assert!(matches("q_proj", layer) && matches("self_attn.q_proj", layer) && matches(layer, layer));
        assert!(!matches("proj", layer) && !matches("layers", layer) && !matches("x.model.layers", layer));
    }

    #[test]
    fn the_scale_is_alpha_over_r_or_its_root() {
        let config = LoraConfig { r: 16, lora_alpha: 32.0, ..LoraConfig::default() };
        assert_eq!(config.scale(), 2.0);
        assert_eq!(LoraConfig { use_rslora: true, ..config }.scale(), 8.0);
    }

    #[test]
    fn options_out_of_range_are_named() {
        let refused = |config: LoraConfig| config.validate().expect_err("refused").message().to_owned();
        assert!(refused(LoraConfig { r: 0, ..LoraConfig::default() }).contains("r is 0"));
        assert!(refused(LoraConfig { lora_alpha: -1.0, ..LoraConfig::default() }).contains("lora_alpha is -1"));
        assert!(refused(LoraConfig { lora_dropout: 1.0, ..LoraConfig::default() }).contains("lora_dropout is 1"));
        assert!(refused(LoraConfig { target_modules: vec![], ..LoraConfig::default() }).contains("target_modules"));
    }
}
