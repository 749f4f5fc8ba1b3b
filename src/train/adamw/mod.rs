//! AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101) with PyTorch's arithmetic and defaults.
//!
//! The update itself is [`adamw_step`]; here stand the options, the moments, and what is refused before anything
//! changes. Parameters of one axis (norms, vectors) are not decayed.

mod options;
mod state;
#[cfg(test)]
mod tests;

pub use options::AdamWOptions;

use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::nn::ops::{AdamWStep, adamw_step};
use crate::train::Grads;

/// The optimizer: parameters and their moments.
#[derive(Debug)]
pub struct AdamW {
    parameters: Vec<Parameter>,
    /// The running means of each gradient and of its square; empty before the first step.
    moments: Vec<(Vec<f32>, Vec<f32>)>,
    options: AdamWOptions,
    steps: u64,
}

impl AdamW {
    /// An optimizer that has not stepped.
    ///
    /// # Errors
    /// Refuses options out of range, and a model in which nothing trains.
    pub fn new(parameters: Vec<Parameter>, options: AdamWOptions) -> Result<Self> {
        options.validate()?;
        if parameters.is_empty() {
            return Err(Error::mistake("nothing in this model trains")
                .with_hint("put adapters on it: net.lora(#{ r: 8 }) or net.qlora(#{ r: 8 })"));
        }
        let moments = vec![(Vec::new(), Vec::new()); parameters.len()];
        Ok(Self { parameters, moments, options, steps: 0 })
    }

    /// The learning rate of the next step.
    pub fn lr(&self) -> f64 {
        self.options.lr
    }

    /// Sets the learning rate of the next step.
    ///
    /// # Errors
    /// Refuses what is negative or not finite.
    pub fn set_lr(&mut self, lr: f64) -> Result<()> {
        let options = AdamWOptions { lr, ..self.options.clone() };
        options.validate()?;
        self.options = options;
        Ok(())
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
    pub fn step(&mut self, grads: &Grads) -> Result<()> {
        self.check(grads)?;
        let AdamWOptions { lr, betas, eps, weight_decay, .. } = self.options;
        let step = self.steps + 1;
        let updates = self.parameters.iter().zip(&mut self.moments).zip(grads.entries());
        for ((Parameter { name, var }, (mean, square)), (_, gradient)) in updates {
            let weight_decay = if var.rank() < 2 { 0.0 } else { weight_decay };
            let numbers = AdamWStep { lr, betas, eps, weight_decay, step };
            adamw_step(var, gradient, mean, square, &numbers)
                .map_err(|e| e.context(format!("while updating {name}")))?;
        }
        self.steps = step;
        Ok(())
    }

    fn check(&self, grads: &Grads) -> Result<()> {
        let (ours, theirs) = (self.parameters.len(), grads.entries().len());
        if ours != theirs {
            return Err(another_model(&format!("{theirs} of them for {ours} parameters")));
        }
        for (Parameter { name, var }, (of, gradient)) in self.parameters.iter().zip(grads.entries()) {
            if name != of || var.shape() != gradient.shape() {
                let (wanted, given) = (var.dims(), gradient.dims());
                return Err(another_model(&format!("{of} {given:?} where {name} {wanted:?} is due")));
            }
        }
        let norm = grads.norm()?;
        if !norm.is_finite() {
            return Err(Error::mistake(format!("the norm of the gradients is {norm}; nothing was changed"))
                .with_hint("the loss was probably not finite: lower the learning rate, or clip"));
        }
        Ok(())
    }
}

fn another_model(differ: &str) -> Error {
    Error::mistake(format!("these are gradients of another model: {differ}"))
        .with_hint("make the optimizer from the model whose loss you go back from")
}
