//! Gradients of a loss, which can be measured, clipped, added and scaled.

use std::collections::HashMap;

use candle_core::{DType, Tensor, TensorId, Var};

use crate::data::Batch;
use crate::error::{Error, Result};
use crate::nn::ops::{scale_in_place, square_norms};
use crate::nn::{ForwardCtx, Model, Parameter, Tape};

/// The gradients of all trainable parameters, in their order.
#[derive(Debug, Clone)]
pub struct Grads {
    entries: Vec<(String, Tensor)>,
}

impl Grads {
    /// Runs backward on candle's graph from a scalar loss to the parameters; a parameter that the loss does not depend
    /// on has zeros.
    ///
    /// # Errors
    /// When an op has no gradient, when the loss reaches no parameter at all; `interrupted`, when the user cancels.
    pub fn backward(loss: &Tensor, parameters: &[Parameter]) -> Result<Self> {
        let mut store = loss.backward()?;
        Self::whole(parameters, |_, var| store.remove(var))
    }

    /// Runs backward on a tape from a scalar loss to the parameters; the tape can be used again.
    ///
    /// # Errors
    /// `interrupted`, when the user cancels.
    pub fn backward_tape(tape: &Tape, loss: &Tensor, parameters: &[Parameter]) -> Result<Self> {
        let dy = loss.ones_like()?;
        Self::found(parameters, |take| tape.backward(loss, dy, take))
    }

    /// The gradients of `share` times the loss; frees the tape's memory on the way.
    ///
    /// # Errors
    /// `interrupted`, when the user cancels.
    pub fn backward_consuming(tape: Tape, loss: &Tensor, share: f64, parameters: &[Parameter]) -> Result<Self> {
        let dy = loss.ones_like()?.affine(share, 0.0)?;
        Self::found(parameters, |take| tape.backward_consuming(loss, dy, take))
    }

    /// The loss of a batch and its gradients, with activation checkpointing.
    ///
    /// # Errors
    /// See [`Model::loss`].
    pub fn recomputed(model: &Model, batch: &Batch, pass: &ForwardCtx) -> Result<(Tensor, Self)> {
        let (loss, mut gradients) = model.loss_and_gradients(batch, pass)?;
        Ok((loss, Self::whole(&model.parameters(), |place, _| gradients[place].take())?))
    }

    /// The result of `work`, run on a thread of the pool.
    fn found(
        parameters: &[Parameter],
        work: impl FnOnce(&mut dyn FnMut(TensorId, Tensor) -> Result<()>) -> Result<()> + Send,
    ) -> Result<Self> {
        let mut found = HashMap::new();
        rayon::scope(|_| {
            work(&mut |id, gradient| {
                found.insert(id, gradient);
                Ok(())
            })
        })?;
        Self::whole(parameters, |_, var| found.remove(&var.id()))
    }

    /// One gradient for each parameter, zeros for missing ones.
    fn whole(parameters: &[Parameter], mut of: impl FnMut(usize, &Var) -> Option<Tensor>) -> Result<Self> {
        let mut reached = parameters.is_empty();
        let entries = parameters.iter().enumerate().map(|(place, Parameter { name, var })| {
            let gradient = match of(place, var) {
                Some(gradient) => {
                    reached = true;
                    gradient.contiguous()?
                }
                None => var.zeros_like()?,
            };
            Ok((name.clone(), gradient))
        });
        let entries = entries.collect::<Result<_>>()?;
        if !reached {
            return Err(Error::mistake("the loss reaches no parameter: it was computed without recording").with_hint(
                "take it with ForwardCtx::recording() or Model::taped_loss, of the model whose parameters these are",
            ));
        }
        Ok(Self { entries })
    }

    /// Gradients in the order of the parameters.
    pub(super) fn of_parameters(parameters: &[Parameter], gradients: Vec<Tensor>) -> Self {
        Self { entries: parameters.iter().map(|parameter| parameter.name.clone()).zip(gradients).collect() }
    }

    /// The names and gradients.
    pub fn entries(&self) -> &[(String, Tensor)] {
        &self.entries
    }

    /// The L2 norm of all gradients (`torch.nn.utils.clip_grad_norm_`).
    ///
    /// # Errors
    /// Only when the device fails.
    pub fn norm(&self) -> Result<f64> {
        let gradients = self.entries.iter().map(|(_, gradient)| Ok(gradient.to_dtype(DType::F32)?));
        let gradients = gradients.collect::<Result<Vec<_>>>()?;
        Ok(square_norms(&gradients.iter().collect::<Vec<_>>())?.sqrt())
    }

    /// Scaled by `min(1, max_norm / (norm + 1e-6))`, so that the norm is at most `max_norm`.
    ///
    /// # Errors
    /// A `max_norm` that is not positive.
    pub fn clip(&self, max_norm: f64) -> Result<Self> {
        match clipping(self.norm()?, max_norm)? {
            Some(factor) => self.clone().scaled(factor),
            None => Ok(self.clone()),
        }
    }

    /// [`Grads::clip`] with a known norm, consuming the gradients: memory is freed or reused as the clipped ones are
    /// made.
    ///
    /// # Errors
    /// See [`Grads::clip`].
    pub(crate) fn clip_from(self, norm: f64, max_norm: f64) -> Result<Self> {
        let Some(factor) = clipping(norm, max_norm)? else { return Ok(self) };
        let gradients: Vec<Tensor> = self.entries.iter().map(|(_, gradient)| gradient.clone()).collect();
        if scale_in_place(&gradients, factor as f32)? {
            return Ok(self);
        }
        drop(gradients);
        self.scaled(factor)
    }

    /// The sum with other gradients, for accumulation.
    ///
    /// # Errors
    /// Gradients of another model.
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

    /// The gradients times a number.
    ///
    /// # Errors
    /// Only when the device fails.
    pub fn scale(&self, factor: f64) -> Result<Self> {
        self.clone().scaled(factor)
    }

    /// [`Grads::scale`], consuming the gradients.
    fn scaled(self, factor: f64) -> Result<Self> {
        let entries = self.entries.into_iter().map(|(name, gradient)| Ok((name, (gradient * factor)?)));
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

/// The factor for clipping to `max_norm`; `None` where the norm is not above.
fn clipping(norm: f64, max_norm: f64) -> Result<Option<f64>> {
    if !(max_norm.is_finite() && max_norm > 0.0) {
        return Err(Error::mistake(format!("the norm to clip to must be above 0, not {max_norm}")));
    }
    let factor = max_norm / (norm + 1e-6);
    Ok(if factor >= 1.0 { None } else { Some(factor) })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn parameters() -> Vec<Parameter> {
        let parameter = |name: &str, values: &[f32]| Parameter {
            name: name.into(),
            var: Var::from_slice(values, values.len(), &Device::Cpu).expect("a small tensor"),
        };
        vec![parameter("a.weight", &[1.5, -2.0]), parameter("b.weight", &[6.0]), parameter("unused", &[1.0, 1.0, 1.0])]
    }

    /// The gradients of Σ x²: 2x.
    fn grads(parameters: &[Parameter]) -> Grads {
        let squares = parameters[..2].iter().map(|p| p.var.sqr().and_then(|x| x.sum_all()).expect("f32"));
        let loss = squares.reduce(|a, b| (a + b).expect("scalars")).expect("two terms");
        Grads::backward(&loss, parameters).expect("a plain graph")
    }

    fn values(grads: &Grads, name: &str) -> Vec<f32> {
        grads.of(name).expect("known").to_vec1().expect("f32")
    }

    /// `torch.nn.utils.clip_grad_norm_` on gradients [3, -4] and [12] with max_norm 1 gives the norm 13 and
    /// [0.230_769_217, -0.307_692_289], [0.923_076_868] (PyTorch 2.15).
    #[test]
    fn clipping_is_that_of_pytorch() {
        let parameters = parameters();
        let grads = grads(&parameters);
        assert_eq!(values(&grads, "a.weight"), [3.0, -4.0]);
        assert_eq!(grads.norm().expect("finite"), 13.0);
        let clipped = grads.clip(1.0).expect("a positive norm");
        for (ours, theirs) in values(&clipped, "a.weight").iter().zip([0.230_769_22, -0.307_692_3_f32]) {
            assert!((ours - theirs).abs() < 6e-8, "{ours}");
        }
        assert!((values(&clipped, "b.weight")[0] - 0.923_076_87).abs() < 6e-8);
        assert_eq!(values(&grads.clip(100.0).expect("a positive norm"), "a.weight"), [3.0, -4.0]);
        assert!(grads.clip(0.0).is_err() && grads.clip(f64::NAN).is_err());
    }

    #[test]
    fn what_the_loss_does_not_reach_has_zeros() {
        let parameters = parameters();
        let grads = grads(&parameters);
        assert_eq!(grads.entries().len(), 3);
        assert_eq!(values(&grads, "unused"), [0.0; 3]);
    }

    #[test]
    fn gradients_add_and_scale() {
        let parameters = parameters();
        let once = grads(&parameters);
        let mean = once.add(&once).and_then(|sum| sum.scale(0.5)).expect("one model");
        assert_eq!(values(&mean, "b.weight"), values(&once, "b.weight"));
        let error = once.add(&grads(&parameters[..2])).expect_err("another model");
        assert!(error.message().contains("3 and 2 parameters"), "{error}");
        let error = once.of("a.wieght").expect_err("unknown");
        assert!(error.hint().is_some_and(|hint| hint.contains("a.weight")), "{error}");
    }
}
