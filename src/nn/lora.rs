//! Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) in the words of PEFT's `LoraConfig`.

use serde::{Deserialize, Serialize};

/// What adapters look like and where they go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank.
    pub r: usize,
    /// The update is scaled by `lora_alpha / r`, or `lora_alpha / √r` with `use_rslora`.
    pub lora_alpha: f64,
    /// Share of the adapter's inputs dropped in training.
    pub lora_dropout: f64,
    /// Names of the linear layers that get one ("q_proj"); "all-linear" means all but the head.
    pub target_modules: Vec<String>,
    /// Rank-stabilised scaling (Kalajdzievski 2023).
    pub use_rslora: bool,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { r: 8, lora_alpha: 16.0, lora_dropout: 0.0, target_modules: vec!["all-linear".into()], use_rslora: false }
    }
}

impl LoraConfig {
    /// The factor of the update.
    pub fn scale(&self) -> f64 {
        let r = self.r as f64;
        if self.use_rslora { self.lora_alpha / r.sqrt() } else { self.lora_alpha / r }
    }
}
