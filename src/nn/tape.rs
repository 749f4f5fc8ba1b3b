//! Gradients by a tape: what the ops do is written down while a loss is computed, and read backwards (Wengert 1964).
//!
//! candle keeps a graph of its own and can go back through the same ops; it begins each gradient with zeros, adds on a
//! second set of threads, and keeps all activations until the loss is dropped. A tape moves the first gradient of a
//! tensor instead of adding it, adds the others in place, frees what it has passed, and says when a gradient is final.
//!
//! The tape is the thread's: ops ask [`apply1`] and its kin, which write down what reaches a wanted tensor while
//! [`Tape::record`] runs, and leave it to candle otherwise.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use candle_core::{CustomOp1, CustomOp2, CustomOp3, Tensor, TensorId};

use crate::error::Result;
use crate::nn::ops;

/// One op, as it was applied.
enum Op {
    One(Box<dyn CustomOp1 + Send + Sync>),
    Two(Box<dyn CustomOp2 + Send + Sync>),
    Three(Box<dyn CustomOp3 + Send + Sync>),
    /// x + y, of one shape.
    Add,
    /// The same values in another shape, or stored in another order.
    Same,
}

/// One line of the tape.
struct Line {
    op: Op,
    inputs: Vec<Tensor>,
    output: Tensor,
}

/// What was done on the way to a loss.
pub struct Tape {
    lines: Vec<Line>,
    wanted: HashSet<TensorId>,
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

thread_local! {
    /// The tape that is being written.
    static WRITING: RefCell<Option<Tape>> = const { RefCell::new(None) };
    /// Whether a tape is being read: ops then go back only to what it wants.
    static READING: Cell<bool> = const { Cell::new(false) };
    /// What that tape wants.
    static WANTED: RefCell<HashSet<TensorId>> = RefCell::new(HashSet::new());
}

/// A gradient on its way.
struct Gradient {
    values: Tensor,
    /// Whether its memory is its own, so that others may be added to it in place.
    own: bool,
}

impl Tape {
    /// Does `work` and writes down what leads from `leaves` to whatever it makes. Tapes do not nest: the inner one wins.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn record<T>(leaves: &[&Tensor], work: impl FnOnce() -> Result<T>) -> Result<(T, Self)> {
        let wanted = leaves.iter().map(|leaf| leaf.id()).collect();
        let before = WRITING.replace(Some(Self { lines: Vec::new(), wanted }));
        let made = work();
        let tape = WRITING.replace(before);
        let made = made?;
        Ok((made, tape.unwrap_or_else(|| Self { lines: Vec::new(), wanted: HashSet::new() })))
    }

    /// Goes back from `y`, whose gradient is `dy`; `take` gets the gradient of each leaf it reaches, once it is final. The
    /// tape can be read again.
    ///
    /// # Errors
    /// A stop, or what `take` fails with.
    pub fn backward(&self, y: &Tensor, dy: Tensor, take: &mut dyn FnMut(TensorId, Tensor) -> Result<()>) -> Result<()> {
        let uses = self.uses();
        back(self.lines.iter().rev(), uses, &self.wanted, (y, dy), take)
    }

    /// As [`Tape::backward`], giving memory back on the way.
    ///
    /// # Errors
    /// As [`Tape::backward`].
    pub fn rewind(self, y: &Tensor, dy: Tensor, take: &mut dyn FnMut(TensorId, Tensor) -> Result<()>) -> Result<()> {
        let uses = self.uses();
        let Self { mut lines, wanted } = self;
        back(std::iter::from_fn(|| lines.pop()), uses, &wanted, (y, dy), take)
    }

    /// How often each leaf is used: as often its gradient grows.
    fn uses(&self) -> HashMap<TensorId, usize> {
        let made: HashSet<TensorId> = self.lines.iter().map(|line| line.output.id()).collect();
        let mut uses = HashMap::new();
        for input in self.lines.iter().flat_map(|line| &line.inputs) {
            let id = input.id();
            if self.wanted.contains(&id) && !made.contains(&id) {
                *uses.entry(id).or_insert(0) += 1;
            }
        }
        uses
    }
}

/// Reads lines that come last first.
fn back<L: Borrow<Line>>(
    lines: impl Iterator<Item = L>,
    mut uses: HashMap<TensorId, usize>,
    wanted: &HashSet<TensorId>,
    (y, dy): (&Tensor, Tensor),
    take: &mut dyn FnMut(TensorId, Tensor) -> Result<()>,
) -> Result<()> {
    let _reading = Reading::of(wanted);
    let mut gradients = HashMap::from([(y.id(), Gradient { values: dy, own: false })]);
    for line in lines {
        let line = line.borrow();
        let dy = gradients.remove(&line.output.id());
        let parts = match dy {
            Some(dy) => line.back(dy)?,
            None => line.inputs.iter().map(|_| None).collect(),
        };
        for (input, part) in line.inputs.iter().zip(parts) {
            let id = input.id();
            if !wanted.contains(&id) {
                continue;
            }
            if let Some(part) = part {
                let sum = match gradients.remove(&id) {
                    Some(sum) => sum.plus(part)?,
                    None => part,
                };
                gradients.insert(id, sum);
            }
            if let Some(left) = uses.get_mut(&id) {
                *left -= 1;
                if *left == 0
                    && let Some(gradient) = gradients.remove(&id)
                {
                    take(id, gradient.values)?;
                }
            }
        }
    }
    Ok(())
}

impl Line {
    /// The gradients of the inputs.
    fn back(&self, dy: Gradient) -> Result<Vec<Option<Gradient>>> {
        let own = |values: Option<Tensor>| values.map(|values| Gradient { values, own: true });
        let (inputs, y) = (&self.inputs, &self.output);
        Ok(match &self.op {
            Op::One(op) => vec![own(op.bwd(&inputs[0], y, &dy.values)?)],
            Op::Two(op) => {
                let (a, b) = op.bwd(&inputs[0], &inputs[1], y, &dy.values)?;
                vec![own(a), own(b)]
            }
            Op::Three(op) => {
                let (a, b, c) = op.bwd(&inputs[0], &inputs[1], &inputs[2], y, &dy.values)?;
                vec![own(a), own(b), own(c)]
            }
            Op::Add => {
                let shared = || Some(Gradient { values: dy.values.clone(), own: false });
                vec![shared(), shared()]
            }
            Op::Same => vec![Some(Gradient { values: dy.values.reshape(inputs[0].shape())?, own: dy.own })],
        })
    }
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

/// While it lives, ops go back only to what is wanted. A thread of the pool that waits for others may read another tape
/// meanwhile, so what was wanted before is wanted again afterwards.
struct Reading {
    before: (bool, HashSet<TensorId>),
}

impl Reading {
    fn of(wanted: &HashSet<TensorId>) -> Self {
        Self { before: (READING.replace(true), WANTED.replace(wanted.clone())) }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READING.set(self.before.0);
        WANTED.set(std::mem::take(&mut self.before.1));
    }
}

/// Whether an op that goes back has to give a gradient of `x`.
pub(in crate::nn) fn wants(x: &Tensor) -> bool {
    if READING.get() { WANTED.with_borrow(|wanted| wanted.contains(&x.id())) } else { x.track_op() }
}

/// Whether a tape is being written.
fn writing() -> bool {
    WRITING.with_borrow(Option::is_some)
}

/// Writes a line down if it leads on from something wanted.
fn write(op: impl FnOnce() -> Op, inputs: &[&Tensor], output: &Tensor) {
    WRITING.with_borrow_mut(|tape| {
        let Some(tape) = tape else { return };
        if inputs.iter().any(|input| tape.wanted.contains(&input.id())) {
            tape.wanted.insert(output.id());
            let inputs = inputs.iter().map(|&input| input.clone()).collect();
            tape.lines.push(Line { op: op(), inputs, output: output.clone() });
        }
    });
}

/// Applies an op of one tensor.
pub(in crate::nn) fn apply1<C: CustomOp1 + Send + Sync + 'static>(x: &Tensor, op: C) -> candle_core::Result<Tensor> {
    if !writing() {
        return x.apply_op1(op);
    }
    let y = x.apply_op1_no_bwd(&op)?;
    write(|| Op::One(Box::new(op)), &[x], &y);
    Ok(y)
}

/// Applies an op of two tensors.
pub(in crate::nn) fn apply2<C: CustomOp2 + Send + Sync + 'static>(
    a: &Tensor,
    b: &Tensor,
    op: C,
) -> candle_core::Result<Tensor> {
    if !writing() {
        return a.apply_op2(b, op);
    }
    let y = a.apply_op2_no_bwd(b, &op)?;
    write(|| Op::Two(Box::new(op)), &[a, b], &y);
    Ok(y)
}

/// Applies an op of three tensors.
pub(in crate::nn) fn apply3<C: CustomOp3 + Send + Sync + 'static>(
    a: &Tensor,
    b: &Tensor,
    c: &Tensor,
    op: C,
) -> candle_core::Result<Tensor> {
    if !writing() {
        return a.apply_op3(b, c, op);
    }
    let y = a.apply_op3_no_bwd(b, c, &op)?;
    write(|| Op::Three(Box::new(op)), &[a, b, c], &y);
    Ok(y)
}

/// `x + y` of one shape.
pub(in crate::nn) fn apply_add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if !writing() {
        return Ok((x + y)?);
    }
    let sum = ops::plain_sum(x, y)?;
    write(|| Op::Add, &[x, y], &sum);
    Ok(sum)
}

/// The same values in another shape.
pub(in crate::nn) fn apply_reshape(x: &Tensor, shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
    let y = x.reshape(shape.into())?;
    write(|| Op::Same, &[x], &y);
    Ok(y)
}

/// The same values in the order of memory.
pub(in crate::nn) fn apply_contiguous(x: &Tensor) -> candle_core::Result<Tensor> {
    if x.is_contiguous() {
        return Ok(x.clone());
    }
    let y = x.contiguous()?;
    write(|| Op::Same, &[x], &y);
    Ok(y)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::interrupt::Interrupt;
    use crate::nn::Precision;
    use crate::nn::ops::{linear, rms_norm, swiglu};

    /// A few ops with a tensor that is used twice, a sum, a view and a leaf that nothing uses.
    fn loss(x: &Tensor, w: &Tensor, n: &Tensor) -> Result<Tensor> {
        let quiet = Interrupt::new();
        let h = rms_norm(x, n, 1e-5, &quiet)?;
        let a = linear(&h, w, Precision::F32, &quiet)?;
        let b = linear(&a, w, Precision::F32, &quiet)?;
        let y = apply_add(&swiglu(&a, &b, &quiet)?, &h)?;
        let rows = apply_reshape(&y, (12, 8))?;
        crate::nn::ops::cross_entropy(&rows, &[1, 2, 3, 0, 7, 6, 5, 4, 1, 1, 2, 2], &quiet)
    }

    fn leaves() -> [Var; 3] {
        let values = |n: usize| (0..n).map(|i| ((i * 37 % 23) as f32 - 11.0) / 11.0).collect::<Vec<f32>>();
        let var = |shape: &[usize]| {
            Var::from_tensor(&Tensor::from_vec(values(shape.iter().product()), shape, &Device::Cpu).unwrap()).unwrap()
        };
        [var(&[3, 4, 8]), var(&[8, 8]), var(&[8])]
    }

    #[test]
    fn its_gradients_are_those_of_candle() {
        let [x, w, n] = leaves();
        let plain = loss(&x, &w, &n).unwrap();
        let store = plain.backward().unwrap();
        let idle = Var::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap();
        let (y, tape) = Tape::record(&[&x, &w, &n, &idle], || loss(&x, &w, &n)).unwrap();
        assert_eq!(y.to_scalar::<f32>().unwrap(), plain.to_scalar::<f32>().unwrap());
        assert!(!y.track_op(), "candle kept a graph beside the tape");
        let one = || Tensor::new(1f32, &Device::Cpu).unwrap();
        let mut found = HashMap::new();
        for again in [true, false] {
            found.clear();
            let mut take = |id, gradient| {
                assert!(found.insert(id, gradient).is_none(), "a gradient came twice");
                Ok(())
            };
            if again {
                tape.backward(&y, one(), &mut take).unwrap();
            }
        }
        tape.rewind(&y, one(), &mut |id, gradient| {
            found.insert(id, gradient);
            Ok(())
        })
        .unwrap();
        assert_eq!(found.len(), 3);
        for var in [&x, &w, &n] {
            let (a, b) = (&found[&var.id()], store.get(var).unwrap());
            assert_eq!(a.dims(), b.dims());
            let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(difference < 1e-6, "{difference}");
        }
    }

    #[test]
    fn what_is_not_wanted_is_not_written() {
        let [x, w, n] = leaves();
        let (y, tape) = Tape::record(&[], || loss(&x, &w, &n)).unwrap();
        assert!(tape.lines.is_empty() && !y.track_op());
        assert!(loss(&x, &w, &n).unwrap().track_op(), "candle's graph is back");
    }

    #[test]
    fn a_tape_that_is_read_inside_of_another_changes_nothing_for_it() {
        let [x, w, n] = leaves();
        let outer = Reading::of(&HashSet::from([x.id()]));
        drop(Reading::of(&HashSet::from([w.id(), n.id()])));
        assert!(wants(&x) && !wants(&w) && !wants(&n));
        drop(outer);
        assert!(wants(&w), "candle's own answer is back");
    }

    #[test]
    fn work_that_fails_leaves_no_tape() {
        let [x, ..] = leaves();
        let failed: Result<((), Tape)> = Tape::record(&[&x], || Err(crate::error::Error::interrupted()));
        assert!(failed.is_err() && !writing());
    }
}
