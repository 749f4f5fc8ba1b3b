//! The backward pass over a tape, from the last node to the first.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use candle_core::{Tensor, TensorId};

use super::accumulate;
use super::donation::LastReaders;
use super::node::{Node, Op};
use super::saved_tensors::{SavedTensors, TensorMeta};
use crate::error::Result;

thread_local! {
    /// Whether a backward pass is running: ops then compute only the gradients that it needs.
    static IN_BACKWARD: Cell<bool> = const { Cell::new(false) };
    /// The tensors whose gradients that pass needs.
    static NEEDED: RefCell<HashSet<TensorId>> = RefCell::new(HashSet::new());
}

/// Whether an op's backward has to give a gradient of `x`.
pub(in crate::nn) fn needs_grad(x: &Tensor) -> bool {
    if IN_BACKWARD.get() { NEEDED.with_borrow(|needed| needed.contains(&x.id())) } else { x.track_op() }
}

/// While it lives, ops compute only the gradients that are needed. A pool thread that waits for others may run another
/// backward pass in between, so the previous set is restored on drop.
pub(super) struct BackwardScope {
    before: (bool, HashSet<TensorId>),
}

impl BackwardScope {
    pub(super) fn of(needed: &HashSet<TensorId>) -> Self {
        Self { before: (IN_BACKWARD.replace(true), NEEDED.replace(needed.clone())) }
    }
}

impl Drop for BackwardScope {
    fn drop(&mut self) {
        IN_BACKWARD.set(self.before.0);
        NEEDED.set(std::mem::take(&mut self.before.1));
    }
}

/// A gradient during the backward pass.
struct Gradient {
    values: Tensor,
    /// Whether its memory is not shared, so that others may be added to it in place.
    own: bool,
}

impl Gradient {
    fn plus(self, other: Self) -> Result<Self> {
        let (to, from) = if self.own { (self, other) } else { (other, self) };
        let values = match to.own {
            true => accumulate::add_to(to.values, &from.values)?,
            false => accumulate::plain_sum(&to.values, &from.values)?,
        };
        Ok(Self { values, own: true })
    }
}

/// The backward pass over a tape, from the last node to the first.
pub(super) struct Backward<'a> {
    gradients: HashMap<TensorId, Gradient>,
    /// How often each leaf is still to be reached.
    uses: HashMap<TensorId, usize>,
    needed: &'a HashSet<TensorId>,
    saved: SavedTensors,
    take: &'a mut dyn FnMut(TensorId, Tensor) -> Result<()>,
    /// The last reader of each value, where values may be donated.
    last: Option<LastReaders>,
}

impl<'a> Backward<'a> {
    /// Begins at the end of the tape, where y has the gradient dy.
    pub(super) fn new(
        uses: HashMap<TensorId, usize>,
        needed: &'a HashSet<TensorId>,
        saved: SavedTensors,
        (y, dy): (&Tensor, Tensor),
        take: &'a mut dyn FnMut(TensorId, Tensor) -> Result<()>,
        last: Option<LastReaders>,
    ) -> Self {
        let gradients = HashMap::from([(y.id(), Gradient { values: dy, own: false })]);
        Self { gradients, uses, needed, saved, take, last }
    }

    /// Propagates through a node; `earlier` are those before it.
    pub(super) fn pass(&mut self, node: &Node, earlier: &[Node]) -> Result<()> {
        if !node.saves.output() {
            self.saved.forget(node.output.id);
        }
        let parts = match self.gradients.remove(&node.output.id) {
            Some(dy) => self.back(node, earlier, dy)?,
            None => node.inputs.iter().map(|_| None).collect(),
        };
        self.saved.forget(node.output.id);
        for (input, part) in node.inputs.iter().zip(parts) {
            if !self.needed.contains(&input.id) {
                continue;
            }
            if let Some(part) = part {
                let sum = match self.gradients.remove(&input.id) {
                    Some(sum) => sum.plus(part)?,
                    None => part,
                };
                self.gradients.insert(input.id, sum);
            }
            if let Some(left) = self.uses.get_mut(&input.id) {
                *left -= 1;
                if *left == 0
                    && let Some(gradient) = self.gradients.remove(&input.id)
                {
                    (self.take)(input.id, gradient.values)?;
                }
            }
        }
        Ok(())
    }

    /// The gradients of a node's inputs.
    fn back(&mut self, node: &Node, earlier: &[Node], dy: Gradient) -> Result<Vec<Option<Gradient>>> {
        let own = |values: Option<Tensor>| values.map(|values| Gradient { values, own: true });
        let x: Vec<Tensor> = match node.op {
            Op::Add | Op::Same => Vec::new(),
            _ => (0..node.inputs.len())
                .map(|i| self.tensor(&node.inputs[i], node.saves.input(i), earlier))
                .collect::<Result<_>>()?,
        };
        if let Some(last) = &self.last {
            last.mark(node, earlier.len(), &x);
        }
        let y = || match self.saved.get(node.output.id) {
            Some(y) => Ok(y.clone()),
            None => node.output.hollow(),
        };
        Ok(match &node.op {
            Op::One(op) => vec![own(op.bwd(&x[0], &y()?, &dy.values)?)],
            Op::Two(op) => {
                let (a, b) = op.bwd(&x[0], &x[1], &y()?, &dy.values)?;
                vec![own(a), own(b)]
            }
            Op::Three(op) => {
                let (a, b, c) = op.bwd(&x[0], &x[1], &x[2], &y()?, &dy.values)?;
                vec![own(a), own(b), own(c)]
            }
            Op::Add => {
                let shared = || Some(Gradient { values: dy.values.clone(), own: false });
                vec![shared(), shared()]
            }
            Op::Same => vec![Some(Gradient { values: dy.values.reshape(&node.inputs[0].shape)?, own: dy.own })],
        })
    }

    /// A tensor of a node: saved, recomputed, or without values where they are not needed.
    fn tensor(&mut self, name: &TensorMeta, needed: bool, earlier: &[Node]) -> Result<Tensor> {
        if let Some(saved) = self.saved.get(name.id).filter(|_| needed) {
            return Ok(saved.clone());
        }
        let made = match self.saved.node(name.id).filter(|_| needed) {
            Some(node) => {
                let made = self.again(&earlier[node], earlier)?;
                self.saved.remember(name.id, made.clone());
                made
            }
            None => name.hollow()?,
        };
        if self.needed.contains(&name.id) {
            NEEDED.with_borrow_mut(|needed| needed.insert(made.id()));
        }
        Ok(made)
    }

    /// Recomputes the output of a node.
    fn again(&mut self, node: &Node, earlier: &[Node]) -> Result<Tensor> {
        let x: Vec<Tensor> =
            node.inputs.iter().map(|input| self.tensor(input, true, earlier)).collect::<Result<_>>()?;
        let made = match &node.op {
            Op::One(op) => x[0].detach().apply_op1_arc(op.clone())?,
            Op::Two(op) => x[0].detach().apply_op2_arc(&x[1].detach(), op.clone())?,
            Op::Three(op) => x[0].detach().apply_op3_arc(&x[1].detach(), &x[2].detach(), op.clone())?,
            Op::Add | Op::Same => return Err(crate::error::Error::mistake("a sum or a view is not made again")),
        };
        Ok(made)
    }
}
