//! The nodes of a tape.

use std::sync::Arc;

use candle_core::{CustomOp1, CustomOp2, CustomOp3};

use super::saved_tensors::{Saves, TensorMeta};

/// One op, as it was applied.
pub(super) enum Op {
    One(Arc<Box<dyn CustomOp1 + Send + Sync>>),
    Two(Arc<Box<dyn CustomOp2 + Send + Sync>>),
    Three(Arc<Box<dyn CustomOp3 + Send + Sync>>),
    /// x + y, of one shape.
    Add,
    /// The same values in another shape, or stored in another order.
    Same,
}

/// An op that was applied: its inputs, its output and what is saved for its backward.
pub(super) struct Node {
    pub(super) op: Op,
    pub(super) saves: Saves,
    pub(super) inputs: Vec<TensorMeta>,
    pub(super) output: TensorMeta,
}
