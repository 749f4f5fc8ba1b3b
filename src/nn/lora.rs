//! Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) in the words of PEFT's `LoraConfig`.

use std::collections::BTreeMap;

use fancy_regex::Regex;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::forms::one_or_many;
use crate::nn::lora_init::LoraInit;

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
    /// Layers that get none, named as in `target_modules`.
    #[serde(deserialize_with = "one_or_many")]
    pub exclude_modules: Vec<String>,
    /// The blocks whose layers get one, counted from 0 (all when absent).
    pub layers_to_transform: Option<Vec<usize>>,
    /// The name of the list of blocks that `layers_to_transform` counts ("layers", "h"); any when empty.
    #[serde(deserialize_with = "one_or_many")]
    pub layers_pattern: Vec<String>,
    /// Other ranks for some layers: by the end of their names, or by a regular expression of it.
    pub rank_pattern: BTreeMap<String, usize>,
    /// Other values of `lora_alpha` for some layers, named as in `rank_pattern`.
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Rank-stabilised scaling (Kalajdzievski 2023).
    pub use_rslora: bool,
    /// Magnitudes of their own for the rows of the weights (DoRA, Liu et al. 2024).
    pub use_dora: bool,
    /// How A and B begin.
    pub init_lora_weights: LoraInit,
    /// Which biases train beside the adapters.
    pub bias: LoraBias,
    /// Whole layers, norms or the embedding that train and are stored beside the adapters, by the ends of their names.
    #[serde(deserialize_with = "one_or_many")]
    pub modules_to_save: Vec<String>,
    /// Ids whose rows of the embedding train beside the adapters.
    pub trainable_token_indices: Vec<u32>,
    /// Whether files of the base hold the adapted layers as (in, out); found out when absent.
    pub fan_in_fan_out: Option<bool>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            r: 8,
            lora_alpha: 16.0,
            lora_dropout: 0.0,
            target_modules: vec![ALL_LINEAR.into()],
            exclude_modules: Vec::new(),
            layers_to_transform: None,
            layers_pattern: Vec::new(),
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            use_rslora: false,
            use_dora: false,
            init_lora_weights: LoraInit::default(),
            bias: LoraBias::default(),
            modules_to_save: Vec::new(),
            trainable_token_indices: Vec::new(),
            fan_in_fan_out: None,
        }
    }
}

/// Which biases of a model train beside its adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraBias {
    /// None.
    #[default]
    None,
    /// All, those of norms, too.
    All,
    /// Those of the layers with an adapter.
    LoraOnly,
}

/// PEFT's word for every linear layer but the head.
pub(crate) const ALL_LINEAR: &str = "all-linear";

/// The highest rank that is accepted: no layer is wider.
const HIGHEST_RANK: usize = 1 << 14;

impl LoraConfig {
    /// The factor of the update, of layers that no pattern names.
    ///
    /// ```
    /// use etude::nn::LoraConfig;
    ///
    /// let config = LoraConfig { r: 16, lora_alpha: 32.0, ..LoraConfig::default() };
    /// assert_eq!(config.scale(), 2.0);
    /// assert_eq!(LoraConfig { use_rslora: true, ..config }.scale(), 8.0);
    /// ```
    pub fn scale(&self) -> f64 {
        self.scale_of(self.r, self.lora_alpha)
    }

    fn scale_of(&self, r: usize, alpha: f64) -> f64 {
        let r = r as f64;
        if self.use_rslora { alpha / r.sqrt() } else { alpha / r }
    }

    /// The rank and the factor of the update of a layer.
    ///
    /// # Errors
    /// Names the pattern that is not a regular expression.
    ///
    /// ```
    /// use etude::nn::LoraConfig;
    ///
    /// let rank_pattern = [("q_proj".to_string(), 4)].into();
    /// let config = LoraConfig { r: 16, lora_alpha: 32.0, rank_pattern, ..LoraConfig::default() };
    /// assert_eq!(config.of_layer("model.layers.0.self_attn.q_proj")?, (4, 8.0));
    /// assert_eq!(config.of_layer("model.layers.0.self_attn.k_proj")?, (16, 2.0));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn of_layer(&self, name: &str) -> Result<(usize, f64)> {
        let r = pattern("rank_pattern", &self.rank_pattern, name)?.unwrap_or(self.r);
        let alpha = pattern("alpha_pattern", &self.alpha_pattern, name)?.unwrap_or(self.lora_alpha);
        Ok((r, self.scale_of(r, alpha)))
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the option and its value.
    pub fn validate(&self) -> Result<()> {
        let Self { r, lora_alpha, lora_dropout, .. } = self;
        let ranks = self.rank_pattern.iter().map(|(layer, r)| (format!("rank_pattern of '{layer}'"), *r));
        if let Some((what, r)) =
            std::iter::once(("r".to_string(), *r)).chain(ranks).find(|(_, r)| *r == 0 || *r > HIGHEST_RANK)
        {
            return Err(Error::mistake(format!("{what} is {r}")).with_hint("ranks from 4 to 64 are usual"));
        }
        let alphas = self.alpha_pattern.iter().map(|(layer, alpha)| (format!("alpha_pattern of '{layer}'"), *alpha));
        let mut alphas = std::iter::once(("lora_alpha".to_string(), *lora_alpha)).chain(alphas);
        if let Some((what, alpha)) = alphas.find(|(_, alpha)| !alpha.is_finite() || *alpha <= 0.0) {
            let error = Error::mistake(format!("{what} is {alpha}"));
            return Err(error.with_hint("it must be positive; 2 · r is usual"));
        }
        if !(0.0..1.0).contains(lora_dropout) {
            return Err(Error::mistake(format!("lora_dropout is {lora_dropout}")).with_hint("it must be in 0 ≤ x < 1"));
        }
        if self.target_modules.is_empty() {
            return Err(Error::mistake("target_modules is empty").with_hint("[\"all-linear\"] is all of them"));
        }
        if !self.layers_pattern.is_empty() && self.layers_to_transform.is_none() {
            return Err(Error::mistake("layers_pattern is given without layers_to_transform")
                .with_hint("layers_to_transform: [0, 1] says which of its blocks get adapters"));
        }
        Ok(())
    }
}

/// The value of the first pattern that fits a layer, as PEFT finds it (`get_pattern_key`): the end of the name from a dot on
/// matches the expression.
fn pattern<T: Copy>(what: &str, patterns: &BTreeMap<String, T>, layer: &str) -> Result<Option<T>> {
    for (key, value) in patterns {
        let regex = Regex::new(&format!(r"\A(?:.*\.)?(?:{key})\z")).map_err(|e| {
            Error::mistake(format!("{what}: '{key}' is not a regular expression: {e}"))
                .with_hint("a name does: \"q_proj\", \"layers.0.mlp.up_proj\"")
        })?;
        // An expression that exceeds its step limit matches nothing.
        if regex.is_match(layer).unwrap_or(false) {
            return Ok(Some(*value));
        }
    }
    Ok(None)
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

    /// The expected results are those of `get_pattern_key` in peft 0.21.2.
    #[test]
    fn patterns_name_layers_by_their_ends_or_by_expressions() {
        let config = LoraConfig {
            r: 8,
            lora_alpha: 16.0,
            rank_pattern: [("up_proj".into(), 2), (r"layers\.1\d\..*q_proj".into(), 4)].into(),
            alpha_pattern: [("^model.layers.0.self_attn.k_proj".into(), 3.0)].into(),
            ..LoraConfig::default()
        };
        let of = |layer: &str| config.of_layer(layer).unwrap();
        assert_eq!(of("model.layers.3.mlp.up_proj"), (2, 8.0));
        assert_eq!(of("model.layers.3.mlp.sup_proj"), (8, 2.0), "whole parts of a name only");
        assert_eq!(of("model.layers.12.self_attn.q_proj"), (4, 4.0));
        assert_eq!(of("model.layers.2.self_attn.q_proj"), (8, 2.0));
        assert_eq!(of("model.layers.0.self_attn.k_proj"), (8, 0.375));
        let broken = LoraConfig { rank_pattern: [("(".into(), 2)].into(), ..LoraConfig::default() };
        assert!(broken.of_layer("q_proj").is_err_and(|e| e.message().contains("rank_pattern: '('")));
    }

    #[test]
    fn options_out_of_range_are_named() {
        let refused = |config: LoraConfig| config.validate().expect_err("refused").message().to_owned();
        assert!(refused(LoraConfig { r: 0, ..LoraConfig::default() }).contains("r is 0"));
        assert!(refused(LoraConfig { lora_alpha: -1.0, ..LoraConfig::default() }).contains("lora_alpha is -1"));
        assert!(refused(LoraConfig { lora_dropout: 1.0, ..LoraConfig::default() }).contains("lora_dropout is 1"));
        assert!(refused(LoraConfig { target_modules: vec![], ..LoraConfig::default() }).contains("target_modules"));
        let pattern = |r| LoraConfig { rank_pattern: [("q".into(), r)].into(), ..LoraConfig::default() };
        assert!(refused(pattern(0)).contains("rank_pattern of 'q' is 0"));
        let stack = LoraConfig { layers_pattern: vec!["h".into()], ..LoraConfig::default() };
        assert!(refused(stack).contains("layers_pattern"));
    }
}
