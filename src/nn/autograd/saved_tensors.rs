//! The values that a tape saves for backward: those that ops declare, and no others.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Shape, Tensor, TensorId};

/// The values that an op's backward reads. It sees the shapes of all its tensors, and the values of those declared here
/// only.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct Saves {
    inputs: [bool; Self::MOST],
    output: bool,
    again: bool,
}

impl Saves {
    /// The most inputs of an op.
    pub(super) const MOST: usize = 3;
    /// Shapes only.
    pub(in crate::nn) const NOTHING: Self = Self { inputs: [false; Self::MOST], output: false, again: false };
    /// All inputs.
    pub(in crate::nn) const INPUTS: Self = Self { inputs: [true; Self::MOST], ..Self::NOTHING };
    /// The first two inputs, and the shape of the third.
    pub(in crate::nn) const FIRST_TWO: Self = Self { inputs: [true, true, false], ..Self::NOTHING };
    /// All inputs and the output.
    pub(in crate::nn) const ALL: Self = Self { output: true, ..Self::INPUTS };
    /// All inputs; and where other ops need the output, it is recomputed rather than kept: an op with a few operations
    /// a value.
    pub(in crate::nn) const INPUTS_AND_CHEAP: Self = Self { again: true, ..Self::INPUTS };

    pub(super) fn input(self, i: usize) -> bool {
        self.inputs[i]
    }

    pub(super) fn output(self) -> bool {
        self.output
    }

    pub(super) fn again(self) -> bool {
        self.again
    }
}

/// Identity, shape and device of a tensor of a node.
#[derive(Debug, Clone)]
pub(super) struct TensorMeta {
    pub(super) id: TensorId,
    pub(super) shape: Shape,
    device: Device,
}

impl TensorMeta {
    pub(super) fn of(x: &Tensor) -> Self {
        Self { id: x.id(), shape: x.shape().clone(), device: x.device().clone() }
    }

    /// A tensor of this shape without memory, whose values must not be read.
    pub(super) fn hollow(&self) -> Result<Tensor> {
        Tensor::zeros((), DType::F32, &self.device)?.broadcast_as(&self.shape)
    }
}

/// Values saved for backward.
#[derive(Debug, Clone, Default)]
pub(super) struct SavedTensors {
    values: HashMap<TensorId, Tensor>,
    /// Outputs that are recomputed, with their nodes.
    again: HashMap<TensorId, usize>,
}

impl SavedTensors {
    /// Saves a tensor that an op's backward reads, unless it will be recomputed.
    pub(super) fn keep(&mut self, x: &Tensor) {
        if !self.again.contains_key(&x.id()) {
            self.values.insert(x.id(), x.clone());
        }
    }

    /// Marks an output to be recomputed by the node of this number.
    pub(super) fn make_again(&mut self, output: &Tensor, node: usize) {
        self.again.insert(output.id(), node);
    }

    pub(super) fn get(&self, id: TensorId) -> Option<&Tensor> {
        self.values.get(&id)
    }

    /// The node that recomputes it.
    pub(super) fn node(&self, id: TensorId) -> Option<usize> {
        self.again.get(&id).copied()
    }

    /// Saves a recomputed value under its id, for other ops.
    pub(super) fn remember(&mut self, id: TensorId, values: Tensor) {
        self.values.insert(id, values);
    }

    /// Frees a value that is not read again.
    pub(super) fn forget(&mut self, id: TensorId) {
        self.values.remove(&id);
    }
}
