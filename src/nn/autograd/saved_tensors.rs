//! What a tape saves for backward: the values that ops ask for, and no others.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Shape, Tensor, TensorId};

/// What an op asks for on its way back. It sees the shapes of all its tensors; the values of those that it has not asked
/// for are not there.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct Saves {
    inputs: [bool; Self::MOST],
    output: bool,
    again: bool,
}

impl Saves {
    /// Inputs of an op at most.
    pub(super) const MOST: usize = 3;
    /// Shapes are enough.
    pub(in crate::nn) const NOTHING: Self = Self { inputs: [false; Self::MOST], output: false, again: false };
    /// All inputs.
    pub(in crate::nn) const INPUTS: Self = Self { inputs: [true; Self::MOST], ..Self::NOTHING };
    /// The first two inputs; of the third its shape is enough.
    pub(in crate::nn) const FIRST_TWO: Self = Self { inputs: [true, true, false], ..Self::NOTHING };
    /// All inputs and the output.
    pub(in crate::nn) const ALL: Self = Self { output: true, ..Self::INPUTS };
    /// All inputs; and where others ask for the output, it is cheaper to make it again than to keep it: an op of a few
    /// operations a value.
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

/// A tensor as a node of the tape knows it: identity, shape and device.
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

    /// A tensor of this shape whose values mean nothing and take no memory.
    pub(super) fn hollow(&self) -> Result<Tensor> {
        Tensor::zeros((), DType::F32, &self.device)?.broadcast_as(&self.shape)
    }
}

/// Values for the way back.
#[derive(Debug, Clone, Default)]
pub(super) struct SavedTensors {
    values: HashMap<TensorId, Tensor>,
    /// Outputs that are made again, with their nodes.
    again: HashMap<TensorId, usize>,
}

impl SavedTensors {
    /// Keeps a tensor that an op asks for, unless it will be made again.
    pub(super) fn keep(&mut self, x: &Tensor) {
        if !self.again.contains_key(&x.id()) {
            self.values.insert(x.id(), x.clone());
        }
    }

    /// Notes that an output can be made again by the node of this number.
    pub(super) fn make_again(&mut self, output: &Tensor, node: usize) {
        self.again.insert(output.id(), node);
    }

    pub(super) fn get(&self, id: TensorId) -> Option<&Tensor> {
        self.values.get(&id)
    }

    /// The node that makes it.
    pub(super) fn node(&self, id: TensorId) -> Option<usize> {
        self.again.get(&id).copied()
    }

    /// Keeps what was made again under its old name, for other ops.
    pub(super) fn remember(&mut self, id: TensorId, values: Tensor) {
        self.values.insert(id, values);
    }

    /// Gives back the memory of what no one will ask for.
    pub(super) fn forget(&mut self, id: TensorId) {
        self.values.remove(&id);
    }
}
