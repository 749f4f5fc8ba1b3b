//! A named tensor that trains or does not.

use candle_core::{Tensor, Var};

use crate::error::Result;
use crate::nn::cpu::{Floats, floats};

/// An f32 tensor under its Hugging Face name. Clones share the memory.
#[derive(Debug, Clone)]
pub(crate) struct Weight {
    name: String,
    values: WeightValues,
}

#[derive(Debug, Clone)]
enum WeightValues {
    Trains(Var),
    Frozen(Tensor),
}

impl Weight {
    /// A weight that trains; the values are copied.
    pub(crate) fn trained(name: impl Into<String>, values: &Tensor) -> Result<Self> {
        Ok(Self { name: name.into(), values: WeightValues::Trains(Var::from_tensor(values)?) })
    }

    /// A weight that does not train.
    pub(crate) fn fixed(name: impl Into<String>, values: Tensor) -> Self {
        Self { name: name.into(), values: WeightValues::Frozen(values) }
    }

    /// "model.norm.weight"
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The same memory, no longer training here.
    pub(crate) fn frozen(&self) -> Self {
        Self { name: self.name.clone(), values: WeightValues::Frozen(self.detached()) }
    }

    /// The tensor, with gradient if `grad` and it is trainable.
    pub(crate) fn tensor(&self, grad: bool) -> Tensor {
        match &self.values {
            WeightValues::Trains(var) if grad => var.as_tensor().clone(),
            _ => self.detached(),
        }
    }

    /// The values, detached from the graph.
    pub(crate) fn detached(&self) -> Tensor {
        match &self.values {
            WeightValues::Trains(var) => var.as_detached_tensor(),
            WeightValues::Frozen(tensor) => tensor.clone(),
        }
    }

    /// The tensor, borrowed.
    #[cfg(feature = "cuda")]
    pub(in crate::nn) fn borrowed(&self) -> &Tensor {
        match &self.values {
            WeightValues::Trains(var) => var.as_tensor(),
            WeightValues::Frozen(tensor) => tensor,
        }
    }

    /// The values, borrowed.
    ///
    /// # Errors
    /// A weight that is not on the CPU.
    pub(in crate::nn) fn values(&self) -> Result<Floats<'_>> {
        Ok(match &self.values {
            WeightValues::Trains(var) => floats(var.as_tensor())?,
            WeightValues::Frozen(tensor) => floats(tensor)?,
        })
    }

    /// What an optimizer updates.
    pub(crate) fn var(&self) -> Option<&Var> {
        match &self.values {
            WeightValues::Trains(var) => Some(var),
            WeightValues::Frozen(_) => None,
        }
    }

    /// Its shape.
    pub(crate) fn dims(&self) -> &[usize] {
        match &self.values {
            WeightValues::Trains(var) => var.dims(),
            WeightValues::Frozen(tensor) => tensor.dims(),
        }
    }

    /// Number of values.
    pub(crate) fn count(&self) -> usize {
        self.dims().iter().product()
    }
}
