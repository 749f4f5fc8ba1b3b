//! The options of AdamW, with PyTorch's names and defaults.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The options of AdamW, with PyTorch's names and defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the two moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay; norms and vectors have none.
    pub weight_decay: f64,
    /// Bits of the moments: 32, or 8 in blocks of 256.
    pub bits: u8,
    /// Factor of the learning rate of the B of adapters and of vectors (LoRA+, Hayou et al. 2024, arXiv:2402.12354).
    pub loraplus_lr_ratio: f64,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01, bits: 32, loraplus_lr_ratio: 1.0 }
    }
}

impl AdamWOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the option and its value.
    ///
    /// ```
    /// use etude::train::AdamWOptions;
    ///
    /// assert!(AdamWOptions::default().validate().is_ok());
    /// assert!(AdamWOptions { bits: 16, ..AdamWOptions::default() }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<()> {
        let Self { lr, betas, eps, weight_decay, bits, loraplus_lr_ratio } = *self;
        let numbers =
            [("lr", lr), ("eps", eps), ("weight_decay", weight_decay), ("loraplus_lr_ratio", loraplus_lr_ratio)];
        for (name, value) in numbers {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::mistake(format!("{name} must be at least 0, not {value}")));
            }
        }
        if ![betas.0, betas.1].iter().all(|beta| (0.0..1.0).contains(beta)) {
            return Err(Error::mistake(format!("betas must lie in [0, 1), not be {} and {}", betas.0, betas.1)));
        }
        if ![8, 32].contains(&bits) {
            return Err(Error::mistake(format!("bits must be 32 or 8, not {bits}"))
                .with_hint("8 keeps the moments in a quarter of the memory"));
        }
        Ok(())
    }
}
