//! `rope_parameters` of transformers 5, which older releases call `rope_scaling`: how rotary positions are stretched.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::ops::{RopeScaling, Rotary};

/// How rotary positions are stretched for longer contexts; keys are those of `transformers`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RopeParameters {
    /// "default", "linear", "dynamic", "llama3" or "yarn".
    #[serde(alias = "type", skip_serializing_if = "String::is_empty")]
    pub rope_type: String,
    /// Base of the angles; that of the configuration when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// How many times longer sequences become.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// Positions the model was trained on ("llama3", "yarn"); `max_position_embeddings` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_max_position_embeddings: Option<usize>,
    /// "llama3": wavelengths above the trained length over this are divided by `factor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_freq_factor: Option<f64>,
    /// "llama3": wavelengths below the trained length over this are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_freq_factor: Option<f64>,
    /// "yarn": what cosines and sines are multiplied by; by a rule of `factor` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_factor: Option<f64>,
    /// "yarn": turns over the trained length from which on a frequency is kept (32).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta_fast: Option<f64>,
    /// "yarn": turns over the trained length up to which a frequency is divided (1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta_slow: Option<f64>,
    /// "yarn": with `mscale_all_dim` another rule for `attention_factor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mscale: Option<f64>,
    /// "yarn": see `mscale`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mscale_all_dim: Option<f64>,
    /// "yarn": whether the bounds between kept and divided frequencies are whole dimensions (true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate: Option<bool>,
    /// Share of a head that is rotated; only 1 is supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_rotary_factor: Option<f64>,
}

/// The types that are known here.
const TYPES: [&str; 5] = ["default", "linear", "dynamic", "llama3", "yarn"];

impl RopeParameters {
    /// Whether they have no effect.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.rope_type.as_str(), "" | "default") && self.partial_rotary_factor.is_none_or(|share| share == 1.0)
    }

    /// The rotary positions of a model with this base and number of positions.
    ///
    /// # Errors
    /// Names the type that is unknown, and the key that is missing or out of range.
    pub(super) fn lower(&self, theta: f64, max_positions: usize) -> Result<Rotary> {
        if let Some(share) = self.partial_rotary_factor.filter(|share| *share != 1.0) {
            return Err(Error::mistake(format!("rope_parameters: partial_rotary_factor {share} is not supported"))
                .with_hint("LLaMA rotates whole heads: leave it out"));
        }
        let theta = self.rope_theta.unwrap_or(theta);
        let original = self.original_max_position_embeddings.unwrap_or(max_positions).max(1);
        let scaling = match self.rope_type.as_str() {
            "" | "default" => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor: self.factor()? },
            // transformers counts from max_position_embeddings here, whatever else the file has.
            "dynamic" => RopeScaling::Dynamic { factor: self.factor()?, original: max_positions },
            "llama3" => self.llama3(original)?,
            "yarn" => self.yarn(original, max_positions)?,
            other => return Err(Error::unknown("rope_type", other, &TYPES)),
        };
        Ok(Rotary { theta, scaling })
    }

    /// The longest sequence: "dynamic" allows `factor` times the positions that the model was trained on.
    pub(super) fn reach(&self, max_positions: usize) -> usize {
        match (self.rope_type.as_str(), self.factor) {
            ("dynamic", Some(factor)) => (max_positions as f64 * factor.max(1.0)) as usize,
            _ => max_positions,
        }
    }

    fn factor(&self) -> Result<f64> {
        self.positive("factor", self.factor).and_then(|factor| match factor >= 1.0 {
            true => Ok(factor),
            false => {
                Err(Error::mistake(format!("rope_parameters: factor is {factor}")).with_hint("it must be 1 or more"))
            }
        })
    }

    fn positive(&self, key: &str, value: Option<f64>) -> Result<f64> {
        match value {
            Some(value) if value.is_finite() && value > 0.0 => Ok(value),
            Some(value) => {
                Err(Error::mistake(format!("rope_parameters: {key} is {value}"))
                    .with_hint("it must be a positive number"))
            }
            None => {
                let message = format!("rope_parameters of rope_type {} do not say their {key}", self.rope_type);
                Err(Error::mistake(message).with_hint(format!("for example {key}: 8.0")))
            }
        }
    }

    fn llama3(&self, original: usize) -> Result<RopeScaling> {
        let factor = self.factor()?;
        let low = self.positive("low_freq_factor", self.low_freq_factor)?;
        let high = self.positive("high_freq_factor", self.high_freq_factor)?;
        if low >= high {
            return Err(Error::mistake(format!(
                "rope_parameters: low_freq_factor {low} is not below high_freq_factor {high}"
            ))
            .with_hint("the usual ones are 1 and 4"));
        }
        Ok(RopeScaling::Llama3 { factor, low, high, original })
    }

    fn yarn(&self, original: usize, max_positions: usize) -> Result<RopeScaling> {
        let factor = match self.factor {
            None => max_positions as f64 / original as f64,
            Some(_) => self.factor()?,
        };
        let attention_factor = match self.attention_factor {
            Some(given) => self.positive("attention_factor", Some(given))?,
            None => match (self.mscale.filter(|m| *m != 0.0), self.mscale_all_dim.filter(|m| *m != 0.0)) {
                (Some(mscale), Some(all)) => magnitude(factor, mscale) / magnitude(factor, all),
                _ => magnitude(factor, 1.0),
            },
        };
        let or = |key, value: Option<f64>, usual| self.positive(key, Some(value.unwrap_or(usual)));
        let (fast, slow) = (or("beta_fast", self.beta_fast, 32.0)?, or("beta_slow", self.beta_slow, 1.0)?);
        let truncate = self.truncate.unwrap_or(true);
        Ok(RopeScaling::Yarn { factor, attention_factor, fast, slow, truncate, original })
    }
}

/// YaRN's factor for the scores' temperature, `0.1 · mscale · ln(factor) + 1`.
fn magnitude(factor: f64, mscale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 }
}
