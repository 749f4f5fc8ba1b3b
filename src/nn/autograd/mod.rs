//! Reverse-mode automatic differentiation with a tape (Wengert 1964).
//!
//! candle has a graph of its own and can run backward over the same ops, but it begins each gradient with zeros, adds
//! on a second set of threads, and keeps all activations until the loss is dropped. A [`Tape`] saves only the values
//! that an op's backward needs ([`Saves`]) and recomputes cheap ones; it moves the first gradient of a tensor instead
//! of adding it, adds the others in place, frees saved values after their last use, and reports a gradient as soon as
//! it is final.
//!
//! There is one tape for each thread: ops are applied by [`apply1`], [`apply2`] and [`apply3`], which record on the
//! tape while [`Tape::record`] runs and one of the inputs needs a gradient, and use candle's graph otherwise.

mod accumulate;
mod backward;
mod donation;
mod node;
mod saved_tensors;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use candle_core::{CustomOp1, CustomOp2, CustomOp3, Tensor, TensorId};

#[cfg(test)]
pub(in crate::nn) use self::accumulate::add_to;
pub(in crate::nn) use self::accumulate::plain_sum;
pub(in crate::nn) use self::backward::needs_grad;
use self::backward::{Backward, BackwardScope};
use self::donation::LastReaders;
pub(in crate::nn) use self::donation::take_donated;
use self::node::{Node, Op};
pub(in crate::nn) use self::saved_tensors::Saves;
use self::saved_tensors::{SavedTensors, TensorMeta};
use crate::error::Result;

/// The recorded ops that lead to a loss.
pub struct Tape {
    nodes: Vec<Node>,
    needed: HashSet<TensorId>,
    saved: SavedTensors,
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

thread_local! {
    /// The tape that is recording.
    static RECORDING: RefCell<Option<Tape>> = const { RefCell::new(None) };
}

impl Tape {
    fn new(needed: HashSet<TensorId>) -> Self {
        Self { nodes: Vec::new(), needed, saved: SavedTensors::default() }
    }

    /// Runs `work` and records the ops between `leaves` and its results. Tapes do not nest: only the inner one records.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn record<T>(leaves: &[&Tensor], work: impl FnOnce() -> Result<T>) -> Result<(T, Self)> {
        let needed = leaves.iter().map(|leaf| leaf.id()).collect();
        let before = RECORDING.replace(Some(Self::new(needed)));
        let made = work();
        let tape = RECORDING.replace(before);
        Ok((made?, tape.unwrap_or_else(|| Self::new(HashSet::new()))))
    }

    /// Computes gradients from `y`, whose gradient is `dy`; `take` receives the gradient of each leaf once it is final.
    /// The tape can be used again.
    ///
    /// # Errors
    /// `interrupted`, when the user cancels; and what `take` fails with.
    pub fn backward(&self, y: &Tensor, dy: Tensor, take: &mut dyn FnMut(TensorId, Tensor) -> Result<()>) -> Result<()> {
        let _reading = BackwardScope::of(&self.needed);
        let mut backward = Backward::new(self.uses(), &self.needed, self.saved.clone(), (y, dy), take, None);
        (0..self.nodes.len()).rev().try_for_each(|i| backward.pass(&self.nodes[i], &self.nodes[..i]))
    }

    /// As [`Tape::backward`], freeing memory on the way: tensors that only backward reads are empty after it.
    ///
    /// # Errors
    /// As [`Tape::backward`].
    pub fn backward_consuming(
        self,
        y: &Tensor,
        dy: Tensor,
        take: &mut dyn FnMut(TensorId, Tensor) -> Result<()>,
    ) -> Result<()> {
        let _reading = BackwardScope::of(&self.needed);
        let uses = self.uses();
        let Self { mut nodes, needed, saved } = self;
        let last = LastReaders::of(&nodes, &saved);
        let mut backward = Backward::new(uses, &needed, saved, (y, dy), take, Some(last));
        while let Some(node) = nodes.pop() {
            backward.pass(&node, &nodes)?;
        }
        Ok(())
    }

    /// How often each leaf is used: the number of gradients to be summed for it.
    fn uses(&self) -> HashMap<TensorId, usize> {
        let made: HashSet<TensorId> = self.nodes.iter().map(|node| node.output.id).collect();
        let mut uses = HashMap::new();
        for input in self.nodes.iter().flat_map(|node| &node.inputs) {
            if self.needed.contains(&input.id) && !made.contains(&input.id) {
                *uses.entry(input.id).or_insert(0) += 1;
            }
        }
        uses
    }

    /// Records a node if one of its inputs needs a gradient.
    fn record_node(&mut self, op: impl FnOnce() -> Op, saves: Saves, inputs: &[&Tensor], output: &Tensor) {
        if !inputs.iter().any(|input| self.needed.contains(&input.id())) {
            return;
        }
        self.needed.insert(output.id());
        for (i, input) in inputs.iter().enumerate().filter(|(i, _)| saves.input(*i)) {
            debug_assert!(i < Saves::MOST);
            self.saved.keep(input);
        }
        if saves.again() {
            self.saved.make_again(output, self.nodes.len());
        } else if saves.output() {
            self.saved.keep(output);
        }
        let inputs = inputs.iter().map(|input| TensorMeta::of(input)).collect();
        self.nodes.push(Node { op: op(), saves, inputs, output: TensorMeta::of(output) });
    }
}

/// Whether a tape is recording.
fn recording() -> bool {
    RECORDING.with_borrow(Option::is_some)
}

/// Records a node on the tape, if there is one.
fn record_node(op: impl FnOnce() -> Op, saves: Saves, inputs: &[&Tensor], output: &Tensor) {
    RECORDING.with_borrow_mut(|tape| {
        if let Some(tape) = tape {
            tape.record_node(op, saves, inputs, output);
        }
    });
}

/// Applies an op of one tensor.
pub(in crate::nn) fn apply1<C: CustomOp1 + Send + Sync + 'static>(
    x: &Tensor,
    op: C,
    saves: Saves,
) -> candle_core::Result<Tensor> {
    if !recording() {
        return x.apply_op1(op);
    }
    let y = x.apply_op1_no_bwd(&op)?;
    record_node(|| Op::One(Arc::new(Box::new(op))), saves, &[x], &y);
    Ok(y)
}

/// Applies an op of two tensors.
pub(in crate::nn) fn apply2<C: CustomOp2 + Send + Sync + 'static>(
    a: &Tensor,
    b: &Tensor,
    op: C,
    saves: Saves,
) -> candle_core::Result<Tensor> {
    if !recording() {
        return a.apply_op2(b, op);
    }
    let y = a.apply_op2_no_bwd(b, &op)?;
    record_node(|| Op::Two(Arc::new(Box::new(op))), saves, &[a, b], &y);
    Ok(y)
}

/// Applies an op of three tensors.
pub(in crate::nn) fn apply3<C: CustomOp3 + Send + Sync + 'static>(
    a: &Tensor,
    b: &Tensor,
    c: &Tensor,
    op: C,
    saves: Saves,
) -> candle_core::Result<Tensor> {
    if !recording() {
        return a.apply_op3(b, c, op);
    }
    let y = a.apply_op3_no_bwd(b, c, &op)?;
    record_node(|| Op::Three(Arc::new(Box::new(op))), saves, &[a, b, c], &y);
    Ok(y)
}

/// `x + y` of one shape.
pub(in crate::nn) fn apply_add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if !recording() {
        return Ok((x + y)?);
    }
    let sum = plain_sum(x, y)?;
    record_node(|| Op::Add, Saves::NOTHING, &[x, y], &sum);
    Ok(sum)
}

/// The same values in another shape.
pub(in crate::nn) fn apply_reshape(x: &Tensor, shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
    let y = x.reshape(shape.into())?;
    record_node(|| Op::Same, Saves::NOTHING, &[x], &y);
    Ok(y)
}

/// The same values, contiguous in memory.
pub(in crate::nn) fn apply_contiguous(x: &Tensor) -> candle_core::Result<Tensor> {
    if x.is_contiguous() {
        return Ok(x.clone());
    }
    let y = x.contiguous()?;
    record_node(|| Op::Same, Saves::NOTHING, &[x], &y);
    Ok(y)
}
