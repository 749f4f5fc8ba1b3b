//! Gradients by a tape: what the ops do is written down while a loss is computed, and read backwards (Wengert 1964).
//!
//! candle keeps a graph of its own and can go back through the same ops; it begins each gradient with zeros, adds on a
//! second set of threads, and keeps all activations until the loss is dropped. A tape keeps only the values that an op
//! [`Needs`] on its way back, and makes cheap ones again; it moves the first gradient of a tensor instead of adding it,
//! adds the others in place, frees what it has passed, and says when a gradient is final.
//!
//! The tape is the thread's: ops ask [`apply1`] and its kin, which write down what reaches a wanted tensor while
//! [`Tape::record`] runs, and leave it to candle otherwise.

mod back;
mod kept;
mod spent;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use candle_core::{CustomOp1, CustomOp2, CustomOp3, Tensor, TensorId};

pub(in crate::nn) use self::back::wants;
use self::back::{Reader, Reading};
pub(in crate::nn) use self::kept::Needs;
use self::kept::{Kept, Name};
use self::spent::LastReaders;
pub(in crate::nn) use self::spent::spend;
use crate::error::Result;
use crate::nn::ops;

/// One op, as it was applied.
enum Op {
    One(Arc<Box<dyn CustomOp1 + Send + Sync>>),
    Two(Arc<Box<dyn CustomOp2 + Send + Sync>>),
    Three(Arc<Box<dyn CustomOp3 + Send + Sync>>),
    /// x + y, of one shape.
    Add,
    /// The same values in another shape, or stored in another order.
    Same,
}

/// One line of the tape.
struct Line {
    op: Op,
    needs: Needs,
    inputs: Vec<Name>,
    output: Name,
}

/// What was done on the way to a loss.
pub struct Tape {
    lines: Vec<Line>,
    wanted: HashSet<TensorId>,
    kept: Kept,
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

thread_local! {
    /// The tape that is being written.
    static WRITING: RefCell<Option<Tape>> = const { RefCell::new(None) };
}

impl Tape {
    fn new(wanted: HashSet<TensorId>) -> Self {
        Self { lines: Vec::new(), wanted, kept: Kept::default() }
    }

    /// Does `work` and writes down what leads from `leaves` to whatever it makes. Tapes do not nest: the inner one wins.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn record<T>(leaves: &[&Tensor], work: impl FnOnce() -> Result<T>) -> Result<(T, Self)> {
        let wanted = leaves.iter().map(|leaf| leaf.id()).collect();
        let before = WRITING.replace(Some(Self::new(wanted)));
        let made = work();
        let tape = WRITING.replace(before);
        Ok((made?, tape.unwrap_or_else(|| Self::new(HashSet::new()))))
    }

    /// Goes back from `y`, whose gradient is `dy`; `take` gets the gradient of each leaf it reaches, once it is final. The
    /// tape can be read again.
    ///
    /// # Errors
    /// A stop, or what `take` fails with.
    pub fn backward(&self, y: &Tensor, dy: Tensor, take: &mut dyn FnMut(TensorId, Tensor) -> Result<()>) -> Result<()> {
        let _reading = Reading::of(&self.wanted);
        let mut reader = Reader::new(self.uses(), &self.wanted, self.kept.clone(), (y, dy), take, None);
        (0..self.lines.len()).rev().try_for_each(|i| reader.pass(&self.lines[i], &self.lines[..i]))
    }

    /// As [`Tape::backward`], giving memory back on the way: tensors that only the way back asks for are empty after it.
    ///
    /// # Errors
    /// As [`Tape::backward`].
    pub fn rewind(self, y: &Tensor, dy: Tensor, take: &mut dyn FnMut(TensorId, Tensor) -> Result<()>) -> Result<()> {
        let _reading = Reading::of(&self.wanted);
        let uses = self.uses();
        let Self { mut lines, wanted, kept } = self;
        let last = LastReaders::of(&lines, &kept);
        let mut reader = Reader::new(uses, &wanted, kept, (y, dy), take, Some(last));
        while let Some(line) = lines.pop() {
            reader.pass(&line, &lines)?;
        }
        Ok(())
    }

    /// How often each leaf is used: as often its gradient grows.
    fn uses(&self) -> HashMap<TensorId, usize> {
        let made: HashSet<TensorId> = self.lines.iter().map(|line| line.output.id).collect();
        let mut uses = HashMap::new();
        for input in self.lines.iter().flat_map(|line| &line.inputs) {
            if self.wanted.contains(&input.id) && !made.contains(&input.id) {
                *uses.entry(input.id).or_insert(0) += 1;
            }
        }
        uses
    }

    /// Writes a line down if it leads on from something wanted.
    fn write(&mut self, op: impl FnOnce() -> Op, needs: Needs, inputs: &[&Tensor], output: &Tensor) {
        if !inputs.iter().any(|input| self.wanted.contains(&input.id())) {
            return;
        }
        self.wanted.insert(output.id());
        for (i, input) in inputs.iter().enumerate().filter(|(i, _)| needs.input(*i)) {
            debug_assert!(i < Needs::MOST);
            self.kept.keep(input);
        }
        if needs.again() {
            self.kept.make_again(output, self.lines.len());
        } else if needs.output() {
            self.kept.keep(output);
        }
        let inputs = inputs.iter().map(|input| Name::of(input)).collect();
        self.lines.push(Line { op: op(), needs, inputs, output: Name::of(output) });
    }
}

/// Whether a tape is being written.
fn writing() -> bool {
    WRITING.with_borrow(Option::is_some)
}

/// Writes a line on the tape, if there is one.
fn write(op: impl FnOnce() -> Op, needs: Needs, inputs: &[&Tensor], output: &Tensor) {
    WRITING.with_borrow_mut(|tape| {
        if let Some(tape) = tape {
            tape.write(op, needs, inputs, output);
        }
    });
}

/// Applies an op of one tensor.
pub(in crate::nn) fn apply1<C: CustomOp1 + Send + Sync + 'static>(
    x: &Tensor,
    op: C,
    needs: Needs,
) -> candle_core::Result<Tensor> {
    if !writing() {
        return x.apply_op1(op);
    }
    let y = x.apply_op1_no_bwd(&op)?;
    write(|| Op::One(Arc::new(Box::new(op))), needs, &[x], &y);
    Ok(y)
}

/// Applies an op of two tensors.
pub(in crate::nn) fn apply2<C: CustomOp2 + Send + Sync + 'static>(
    a: &Tensor,
    b: &Tensor,
    op: C,
    needs: Needs,
) -> candle_core::Result<Tensor> {
    if !writing() {
        return a.apply_op2(b, op);
    }
    let y = a.apply_op2_no_bwd(b, &op)?;
    write(|| Op::Two(Arc::new(Box::new(op))), needs, &[a, b], &y);
    Ok(y)
}

/// Applies an op of three tensors.
pub(in crate::nn) fn apply3<C: CustomOp3 + Send + Sync + 'static>(
    a: &Tensor,
    b: &Tensor,
    c: &Tensor,
    op: C,
    needs: Needs,
) -> candle_core::Result<Tensor> {
    if !writing() {
        return a.apply_op3(b, c, op);
    }
    let y = a.apply_op3_no_bwd(b, c, &op)?;
    write(|| Op::Three(Arc::new(Box::new(op))), needs, &[a, b, c], &y);
    Ok(y)
}

/// `x + y` of one shape.
pub(in crate::nn) fn apply_add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if !writing() {
        return Ok((x + y)?);
    }
    let sum = ops::plain_sum(x, y)?;
    write(|| Op::Add, Needs::NOTHING, &[x, y], &sum);
    Ok(sum)
}

/// The same values in another shape.
pub(in crate::nn) fn apply_reshape(x: &Tensor, shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
    let y = x.reshape(shape.into())?;
    write(|| Op::Same, Needs::NOTHING, &[x], &y);
    Ok(y)
}

/// The same values in the order of memory.
pub(in crate::nn) fn apply_contiguous(x: &Tensor) -> candle_core::Result<Tensor> {
    if x.is_contiguous() {
        return Ok(x.clone());
    }
    let y = x.contiguous()?;
    write(|| Op::Same, Needs::NOTHING, &[x], &y);
    Ok(y)
}
