//! One draw from a distribution, with the words of `transformers`' generation.

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// How to draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplerOptions {
    /// Logits are divided by it; 0 takes the likeliest.
    pub temperature: f64,
    /// Keep the likeliest so many; 0 keeps all.
    pub top_k: usize,
    /// Keep the likeliest whose probabilities sum to this, 0 < top_p ≤ 1.
    pub top_p: f64,
    /// Keep what is at least this share of the likeliest, 0 ≤ min_p < 1.
    pub min_p: f64,
    /// Divides positive and multiplies negative logits of what was said (Keskar et al. 2019); 1 does nothing.
    pub repetition_penalty: f64,
    /// Two samplers with one seed draw the same.
    pub seed: u64,
    /// Whether only what the grammar allows can be drawn.
    pub grammar: bool,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: 0, grammar: true }
    }
}

impl SamplerOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the option and its value.
    pub fn validate(&self) -> Result<()> {
        todo!()
    }
}

/// A stream of draws.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: SamplerOptions,
}

impl Sampler {
    /// A sampler at the start of its stream.
    ///
    /// # Errors
    /// See [`SamplerOptions::validate`].
    pub fn new(_options: SamplerOptions) -> Result<Self> {
        todo!()
    }

    /// The options.
    pub fn options(&self) -> &SamplerOptions {
        &self.options
    }

    /// Replaces the options; the stream starts anew when the seed changes.
    ///
    /// # Errors
    /// See [`SamplerOptions::validate`].
    pub fn set_options(&mut self, _options: SamplerOptions) -> Result<()> {
        todo!()
    }

    /// Draws an id from logits (vocabulary). `said` are the ids so far (for the penalty), `mask` what is allowed.
    pub fn sample(&mut self, _logits: &[f32], _said: &[u32], _mask: Option<&[bool]>) -> u32 {
        todo!()
    }
}
