//! The way back along a tape.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use candle_core::{Tensor, TensorId};

use super::kept::{Kept, Name};
use super::spent::LastReaders;
use super::{Line, Op};
use crate::error::Result;
use crate::nn::ops;

thread_local! {
    /// Whether a tape is being read: ops then go back only to what it wants.
    static READING: Cell<bool> = const { Cell::new(false) };
    /// What that tape wants.
    static WANTED: RefCell<HashSet<TensorId>> = RefCell::new(HashSet::new());
}

/// Whether an op that goes back has to give a gradient of `x`.
pub(in crate::nn) fn wants(x: &Tensor) -> bool {
    if READING.get() { WANTED.with_borrow(|wanted| wanted.contains(&x.id())) } else { x.track_op() }
}

/// While it lives, ops go back only to what is wanted. A thread of the pool that waits for others may read another tape
/// meanwhile, so what was wanted before is wanted again afterwards.
pub(super) struct Reading {
    before: (bool, HashSet<TensorId>),
}

impl Reading {
    pub(super) fn of(wanted: &HashSet<TensorId>) -> Self {
        Self { before: (READING.replace(true), WANTED.replace(wanted.clone())) }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READING.set(self.before.0);
        WANTED.set(std::mem::take(&mut self.before.1));
    }
}

/// A gradient on its way.
struct Gradient {
    values: Tensor,
    /// Whether its memory is its own, so that others may be added to it in place.
    own: bool,
}

impl Gradient {
    fn plus(self, other: Self) -> Result<Self> {
        let (to, from) = if self.own { (self, other) } else { (other, self) };
        let values = match to.own {
            true => ops::add_to(to.values, &from.values)?,
            false => ops::plain_sum(&to.values, &from.values)?,
        };
        Ok(Self { values, own: true })
    }
}

/// Who reads a tape, the last line first.
pub(super) struct Reader<'a> {
    gradients: HashMap<TensorId, Gradient>,
    /// How often each leaf will still be met.
    uses: HashMap<TensorId, usize>,
    wanted: &'a HashSet<TensorId>,
    kept: Kept,
    take: &'a mut dyn FnMut(TensorId, Tensor) -> Result<()>,
    /// Where values may be spent, who reads them last.
    last: Option<LastReaders>,
}

impl<'a> Reader<'a> {
    /// At the end of the tape, where y has the gradient dy.
    pub(super) fn new(
        uses: HashMap<TensorId, usize>,
        wanted: &'a HashSet<TensorId>,
        kept: Kept,
        (y, dy): (&Tensor, Tensor),
        take: &'a mut dyn FnMut(TensorId, Tensor) -> Result<()>,
        last: Option<LastReaders>,
    ) -> Self {
        let gradients = HashMap::from([(y.id(), Gradient { values: dy, own: false })]);
        Self { gradients, uses, wanted, kept, take, last }
    }

    /// Goes back over a line; `earlier` are those before it.
    pub(super) fn pass(&mut self, line: &Line, earlier: &[Line]) -> Result<()> {
        if !line.needs.output() {
            self.kept.forget(line.output.id);
        }
        let parts = match self.gradients.remove(&line.output.id) {
            Some(dy) => self.back(line, earlier, dy)?,
            None => line.inputs.iter().map(|_| None).collect(),
        };
        self.kept.forget(line.output.id);
        for (input, part) in line.inputs.iter().zip(parts) {
            if !self.wanted.contains(&input.id) {
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

    /// The gradients of a line's inputs.
    fn back(&mut self, line: &Line, earlier: &[Line], dy: Gradient) -> Result<Vec<Option<Gradient>>> {
        let own = |values: Option<Tensor>| values.map(|values| Gradient { values, own: true });
        let x: Vec<Tensor> = match line.op {
            Op::Add | Op::Same => Vec::new(),
            _ => (0..line.inputs.len())
                .map(|i| self.tensor(&line.inputs[i], line.needs.input(i), earlier))
                .collect::<Result<_>>()?,
        };
        if let Some(last) = &self.last {
            last.mark(line, earlier.len(), &x);
        }
        let y = || match self.kept.get(line.output.id) {
            Some(y) => Ok(y.clone()),
            None => line.output.hollow(),
        };
        Ok(match &line.op {
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
            Op::Same => vec![Some(Gradient { values: dy.values.reshape(&line.inputs[0].shape)?, own: dy.own })],
        })
    }

    /// A tensor that a line speaks of: kept, made again, or hollow where its values are not asked for.
    fn tensor(&mut self, name: &Name, needed: bool, earlier: &[Line]) -> Result<Tensor> {
        if let Some(kept) = self.kept.get(name.id).filter(|_| needed) {
            return Ok(kept.clone());
        }
        let made = match self.kept.line(name.id).filter(|_| needed) {
            Some(line) => {
                let made = self.again(&earlier[line], earlier)?;
                self.kept.remember(name.id, made.clone());
                made
            }
            None => name.hollow()?,
        };
        if self.wanted.contains(&name.id) {
            WANTED.with_borrow_mut(|wanted| wanted.insert(made.id()));
        }
        Ok(made)
    }

    /// Does what a line did.
    fn again(&mut self, line: &Line, earlier: &[Line]) -> Result<Tensor> {
        let x: Vec<Tensor> =
            line.inputs.iter().map(|input| self.tensor(input, true, earlier)).collect::<Result<_>>()?;
        let made = match &line.op {
            Op::One(op) => x[0].detach().apply_op1_arc(op.clone())?,
            Op::Two(op) => x[0].detach().apply_op2_arc(&x[1].detach(), op.clone())?,
            Op::Three(op) => x[0].detach().apply_op3_arc(&x[1].detach(), &x[2].detach(), op.clone())?,
            Op::Add | Op::Same => return Err(crate::error::Error::mistake("a sum or a view is not made again")),
        };
        Ok(made)
    }
}
