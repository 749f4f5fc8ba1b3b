//! AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101) with PyTorch's arithmetic and defaults.
//!
//! The update itself is [`adamw_step`]; this module has the options, the moments, and the checks before anything
//! changes. Parameters of one axis (norms, biases) are not decayed. With `bits: 8` the moments have 8 bits.

mod moments8;
mod options;
mod state;
#[cfg(test)]
mod tests;

pub use options::AdamWOptions;

use candle_core::{Tensor, Var};
use moments8::Moments8;

use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::nn::ops::{AdamWStep, DeviceMoments, DeviceMoments8, DeviceUpdate, adamw_step};
use crate::train::Grads;

/// The optimizer: parameters and their moments.
#[derive(Debug)]
pub struct AdamW {
    parameters: Vec<Parameter>,
    moments: Vec<Moments>,
    options: AdamWOptions,
    steps: u64,
}

/// The running means of a gradient and of its square.
#[derive(Debug, Clone, PartialEq)]
enum Moments {
    /// In 32 bits; empty before the first step.
    Full(Vec<f32>, Vec<f32>),
    /// In 32 bits on the GPU of the parameter.
    Device(DeviceMoments),
    /// In 8 bits.
    Eight(Moments8),
    /// In 8 bits on the GPU of the parameter.
    DeviceEight(DeviceMoments8),
}

impl Moments {
    fn zeros(parameter: &Parameter, bits: u8) -> Self {
        match parameter.var.elem_count() {
            n if bits == 8 && n >= moments8::LEAST => Self::Eight(Moments8::zeros(n)),
            _ => Self::Full(Vec::new(), Vec::new()),
        }
    }

    /// Moves the moments to the device of the parameter, at its first step.
    fn follow(&mut self, parameter: &Var) -> Result<()> {
        let there = match self {
            Self::Full(mean, square) => DeviceMoments::of(parameter, mean, square)?.map(Self::Device),
            Self::Eight(moments) => moments.on_device_of(parameter)?.map(Self::DeviceEight),
            Self::Device(_) | Self::DeviceEight(_) => None,
        };
        if let Some(there) = there {
            *self = there;
        }
        Ok(())
    }
}

impl AdamW {
    /// An optimizer before its first step.
    ///
    /// # Errors
    /// Options out of range, and a model without trainable parameters.
    pub fn new(parameters: Vec<Parameter>, options: AdamWOptions) -> Result<Self> {
        options.validate()?;
        if parameters.is_empty() {
            return Err(Error::mistake("nothing in this model trains")
                .with_hint("put adapters on it: net.lora(#{ r: 8 }) or net.qlora(#{ r: 8 })"));
        }
        let moments = parameters.iter().map(|parameter| Moments::zeros(parameter, options.bits)).collect();
        Ok(Self { parameters, moments, options, steps: 0 })
    }

    /// The learning rate of the next step.
    pub fn lr(&self) -> f64 {
        self.options.lr
    }

    /// Sets the learning rate of the next step.
    ///
    /// # Errors
    /// A rate that is negative or not finite.
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

    /// The options, with the current learning rate.
    pub fn options(&self) -> &AdamWOptions {
        &self.options
    }

    /// Updates every parameter in place.
    ///
    /// # Errors
    /// Gradients of another model, and ones that are not finite (nothing is changed then).
    pub fn step(&mut self, grads: &Grads) -> Result<()> {
        self.check(grads)?;
        let AdamWOptions { lr, betas, eps, weight_decay, loraplus_lr_ratio, .. } = self.options;
        let step = self.steps + 1;
        let mut there = Vec::new();
        let updates = self.parameters.iter().zip(&mut self.moments).zip(grads.entries());
        for ((Parameter { name, var }, moments), (_, gradient)) in updates {
            let weight_decay = if var.rank() < 2 { 0.0 } else { weight_decay };
            // The groups of PEFT's `create_loraplus_optimizer`.
            let faster = name.contains(".lora_B") || var.rank() == 1;
            let lr = if faster { lr * loraplus_lr_ratio } else { lr };
            let numbers = AdamWStep { lr, betas, eps, weight_decay, step };
            moments.follow(var)?;
            let updated = match moments {
                Moments::Device(moments) => {
                    there.push(DeviceUpdate { moments, parameter: var, gradient, hyper: numbers });
                    Ok(())
                }
                Moments::DeviceEight(moments) => moments.step(var, gradient, &moments8::numbers(&numbers)),
                Moments::Full(mean, square) => adamw_step(var, gradient, mean, square, &numbers),
                Moments::Eight(moments) => step_in_8_bits(var, gradient, moments, &numbers),
            };
            updated.map_err(|e| e.context(format!("while updating {name}")))?;
        }
        DeviceMoments::step(&mut there)?;
        self.steps = step;
        Ok(())
    }

    /// Bytes of the moments after the first step.
    pub fn memory(&self) -> usize {
        let bytes = |(parameter, moments): (&Parameter, &Moments)| match moments {
            Moments::Full(..) | Moments::Device(_) => 8 * parameter.var.elem_count(),
            Moments::Eight(moments) => moments.bytes(),
            Moments::DeviceEight(_) => Moments8::zeros(parameter.var.elem_count()).bytes(),
        };
        self.parameters.iter().zip(&self.moments).map(bytes).sum()
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

fn step_in_8_bits(var: &Var, gradient: &Tensor, moments: &mut Moments8, numbers: &AdamWStep) -> Result<()> {
    let mut values = var.flatten_all()?.to_vec1::<f32>()?;
    let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
    moments.step(&mut values, &gradient, numbers);
    Ok(var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?)
}

fn another_model(differ: &str) -> Error {
    Error::mistake(format!("these are gradients of another model: {differ}"))
        .with_hint("make the optimizer from the model whose loss you go back from")
}
