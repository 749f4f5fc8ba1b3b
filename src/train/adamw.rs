//! AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101) with PyTorch's arithmetic and defaults.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::nn::Parameter;
use crate::train::Grads;

/// PyTorch's names and defaults.
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
    /// Bits of the moments: 32 (8 is for a later release and refused).
    pub bits: u8,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01, bits: 32 }
    }
}

/// The optimizer: parameters and their moments.
#[derive(Debug)]
pub struct AdamW {
    parameters: Vec<Parameter>,
    options: AdamWOptions,
    steps: u64,
}

impl AdamW {
    /// An optimizer that has not stepped.
    ///
    /// # Errors
    /// Refuses options out of range, and a model in which nothing trains.
    pub fn new(_parameters: Vec<Parameter>, _options: AdamWOptions) -> Result<Self> {
        todo!()
    }

    /// The learning rate of the next step.
    pub fn lr(&self) -> f64 {
        self.options.lr
    }

    /// Sets the learning rate of the next step.
    ///
    /// # Errors
    /// Refuses what is negative or not finite.
    pub fn set_lr(&mut self, _lr: f64) -> Result<()> {
        todo!()
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The options, with the present learning rate.
    pub fn options(&self) -> &AdamWOptions {
        &self.options
    }

    /// Updates every parameter in place.
    ///
    /// # Errors
    /// Refuses gradients of another model, and ones that are not finite (nothing is changed then).
    pub fn step(&mut self, _grads: &Grads) -> Result<()> {
        let _ = &self.parameters;
        todo!()
    }
}
