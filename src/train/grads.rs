//! The gradients of one loss: a value that can be measured, clipped, added and divided.

use candle_core::Tensor;

use crate::error::Result;
use crate::nn::Parameter;

/// One tensor for each trainable parameter, in their order.
#[derive(Debug, Clone)]
pub struct Grads {
    entries: Vec<(String, Tensor)>,
}

impl Grads {
    /// Goes back from a scalar loss to the parameters; one the loss does not reach has zeros.
    ///
    /// # Errors
    /// When an op has no gradient, or on a stop.
    pub fn backward(_loss: &Tensor, _parameters: &[Parameter]) -> Result<Self> {
        todo!()
    }

    /// The names and gradients.
    pub fn entries(&self) -> &[(String, Tensor)] {
        &self.entries
    }

    /// L2 norm over all of them (`torch.nn.utils.clip_grad_norm_`).
    ///
    /// # Errors
    /// Only when the device fails.
    pub fn norm(&self) -> Result<f64> {
        todo!()
    }

    /// Scaled down so that the norm is at most `max_norm`.
    ///
    /// # Errors
    /// Refuses a `max_norm` that is not positive.
    pub fn clip(&self, _max_norm: f64) -> Result<Self> {
        todo!()
    }

    /// Element by element, for accumulation.
    ///
    /// # Errors
    /// Refuses gradients of another model.
    pub fn add(&self, _other: &Self) -> Result<Self> {
        todo!()
    }

    /// All of them times a number.
    ///
    /// # Errors
    /// Only when the device fails.
    pub fn scale(&self, _factor: f64) -> Result<Self> {
        todo!()
    }

    /// The gradient of one parameter.
    ///
    /// # Errors
    /// An unknown name is refused with the nearest known one.
    pub fn of(&self, _name: &str) -> Result<Tensor> {
        todo!()
    }
}
