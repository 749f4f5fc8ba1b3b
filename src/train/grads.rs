//! The gradients of one loss: a value that can be measured, clipped, added and divided.

use candle_core::{DType, Tensor};

use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::nn::ops::square_norm;

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
    pub fn backward(loss: &Tensor, parameters: &[Parameter]) -> Result<Self> {
        let mut store = loss.backward()?;
        let entries = parameters.iter().map(|Parameter { name, var }| {
            let gradient = match store.remove(var) {
                Some(gradient) => gradient.contiguous()?,
                None => var.zeros_like()?,
            };
            Ok((name.clone(), gradient))
        });
        Ok(Self { entries: entries.collect::<Result<_>>()? })
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
        let squares = self.entries.iter().map(|(_, gradient)| sum_of_squares(gradient));
        Ok(squares.sum::<Result<f64>>()?.sqrt())
    }

    /// Scaled by `min(1, max_norm / (norm + 1e-6))`, so that the norm is at most `max_norm`.
    ///
    /// # Errors
    /// Refuses a `max_norm` that is not positive.
    pub fn clip(&self, max_norm: f64) -> Result<Self> {
        self.clip_from(self.norm()?, max_norm)
    }

    /// [`Grads::clip`] for a caller who has measured the norm.
    ///
    /// # Errors
    /// See [`Grads::clip`].
    pub(crate) fn clip_from(&self, norm: f64, max_norm: f64) -> Result<Self> {
        if !(max_norm.is_finite() && max_norm > 0.0) {
            return Err(Error::mistake(format!("the norm to clip to must be above 0, not {max_norm}")));
        }
        let factor = max_norm / (norm + 1e-6);
        if factor >= 1.0 { Ok(self.clone()) } else { self.scale(factor) }
    }

    /// Element by element, for accumulation.
    ///
    /// # Errors
    /// Refuses gradients of another model.
    pub fn add(&self, other: &Self) -> Result<Self> {
        if self.entries.len() != other.entries.len() {
            let (a, b) = (self.entries.len(), other.entries.len());
            return Err(another_model(&format!("{a} and {b} parameters")));
        }
        let entries = self.entries.iter().zip(&other.entries).map(|((name, a), (other, b))| {
            if name != other || a.shape() != b.shape() {
                return Err(another_model(&format!("{name} {:?} and {other} {:?}", a.dims(), b.dims())));
            }
            Ok((name.clone(), (a + b)?))
        });
        Ok(Self { entries: entries.collect::<Result<_>>()? })
    }

    /// All of them times a number.
    ///
    /// # Errors
    /// Only when the device fails.
    pub fn scale(&self, factor: f64) -> Result<Self> {
        let entries = self.entries.iter().map(|(name, gradient)| Ok((name.clone(), (gradient * factor)?)));
        Ok(Self { entries: entries.collect::<Result<_>>()? })
    }

    /// The gradient of one parameter.
    ///
    /// # Errors
    /// An unknown name is refused with the nearest known one.
    pub fn of(&self, name: &str) -> Result<Tensor> {
        match self.entries.iter().find(|(known, _)| known == name) {
            Some((_, gradient)) => Ok(gradient.clone()),
            None => {
                let known: Vec<&str> = self.entries.iter().map(|(known, _)| known.as_str()).collect();
                Err(Error::unknown("parameter", name, &known))
            }
        }
    }
}

fn another_model(differ: &str) -> Error {
    Error::mistake(format!("these are gradients of two different models: {differ}"))
}

fn sum_of_squares(tensor: &Tensor) -> Result<f64> {
    if tensor.device().is_cpu() && tensor.dtype() == DType::F32 {
        return square_norm(tensor);
    }
    Ok(f64::from(tensor.to_dtype(DType::F32)?.sqr()?.sum_all()?.to_scalar::<f32>()?))
}
