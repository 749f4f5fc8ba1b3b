//! Sampling options, with the names of `transformers`' `GenerationConfig`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Sampling options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplerOptions {
    /// Divides the logits; 0 takes the likeliest.
    pub temperature: f64,
    /// Keep the `k` most likely; 0 keeps all.
    pub top_k: usize,
    /// Keep the likeliest whose probabilities sum to this, 0 < top_p ≤ 1.
    pub top_p: f64,
    /// Keep what is at least this share of the likeliest, 0 ≤ min_p < 1.
    pub min_p: f64,
    /// Keep the ids whose information is nearest to its mean, the entropy, until their probabilities sum to this,
    /// 0 < typical_p ≤ 1 (Meister et al. 2023, "Locally Typical Sampling").
    pub typical_p: f64,
    /// No n-gram of this length comes twice; 0 allows all. Where that leaves nothing, it has no effect.
    pub no_repeat_ngram_size: usize,
    /// Divides positive and multiplies negative logits of previous ids (Keskar et al. 2019); 1 has no effect.
    pub repetition_penalty: f64,
    /// The seed: samplers with the same seed and options give the same ids.
    pub seed: u64,
    /// Whether the grammar masks the logits.
    pub grammar: bool,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            no_repeat_ngram_size: 0,
            repetition_penalty: 1.0,
            seed: 0,
            grammar: true,
        }
    }
}

impl SamplerOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the option and its value.
    ///
    /// ```
    /// use etude::generate::SamplerOptions;
    ///
    /// let error = SamplerOptions { top_p: 1.5, ..SamplerOptions::default() }.validate().expect_err("out of range");
    /// assert_eq!(error.message(), "top_p must lie in (0, 1], not 1.5");
    /// ```
    pub fn validate(&self) -> Result<()> {
        let Self { temperature, top_p, min_p, typical_p, repetition_penalty, .. } = *self;
        if !(temperature.is_finite() && temperature >= 0.0) {
            let error = Error::mistake(format!("temperature must be at least 0, not {temperature}"));
            return Err(error.with_hint("0 takes the likeliest, 1 draws as the model says"));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(Error::mistake(format!("top_p must lie in (0, 1], not {top_p}")).with_hint("1 keeps all"));
        }
        if !(0.0..1.0).contains(&min_p) {
            return Err(Error::mistake(format!("min_p must lie in [0, 1), not {min_p}")).with_hint("0 keeps all"));
        }
        if !(typical_p > 0.0 && typical_p <= 1.0) {
            return Err(
                Error::mistake(format!("typical_p must lie in (0, 1], not {typical_p}")).with_hint("1 keeps all")
            );
        }
        if !(repetition_penalty.is_finite() && repetition_penalty > 0.0) {
            let error = Error::mistake(format!("repetition_penalty must be above 0, not {repetition_penalty}"));
            return Err(error.with_hint("1 does nothing, 1.1 makes repeats a little rarer"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_out_of_range_is_named_with_its_value() {
        let base = SamplerOptions::default;
        for (options, message) in [
            (SamplerOptions { top_p: 1.5, ..base() }, "top_p must lie in (0, 1], not 1.5"),
            (SamplerOptions { top_p: 0.0, ..base() }, "top_p must lie in (0, 1], not 0"),
            (SamplerOptions { typical_p: 0.0, ..base() }, "typical_p must lie in (0, 1], not 0"),
            (SamplerOptions { min_p: 1.0, ..base() }, "min_p must lie in [0, 1), not 1"),
            (SamplerOptions { temperature: -0.5, ..base() }, "temperature must be at least 0, not -0.5"),
            (SamplerOptions { temperature: f64::NAN, ..base() }, "temperature must be at least 0, not NaN"),
            (SamplerOptions { repetition_penalty: 0.0, ..base() }, "repetition_penalty must be above 0, not 0"),
        ] {
            assert_eq!(options.validate().expect_err(message).message(), message);
        }
        base().validate().expect("defaults");
    }
}
