//! Donation: the op that reads a saved value last may reuse its memory.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, TensorId};

use super::node::{Node, Op};
use super::saved_tensors::SavedTensors;

thread_local! {
    /// The inputs of the op in backward now that are not read again after it.
    static DONATED: RefCell<HashSet<TensorId>> = RefCell::new(HashSet::new());
}

/// The memory of an f32 tensor on the CPU, if the op in backward now reads it last; the tensor is empty then. No part
/// of it may be borrowed at the time.
pub(in crate::nn) fn take_donated(x: &Tensor) -> Result<Option<Vec<f32>>> {
    if !DONATED.with_borrow_mut(|donated| donated.remove(&x.id())) {
        return Ok(None);
    }
    let taken = TakeOp(Mutex::new(None));
    x.inplace_op1(&taken)?;
    Ok(taken.0.into_inner().unwrap_or_else(PoisonError::into_inner))
}

struct TakeOp(Mutex<Option<Vec<f32>>>);

impl InplaceOp1 for TakeOp {
    fn name(&self) -> &'static str {
        "take_donated"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        if let CpuStorage::F32(values) = storage
            && layout.contiguous_offsets() == Some((0, values.len()))
        {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::mem::take(values));
        }
        Ok(())
    }
}

/// The node of a tape that reads each value last in backward, that is, the first that saved it.
pub(super) struct LastReaders {
    by_name: HashMap<TensorId, usize>,
    /// Several tensors can be views of one memory.
    by_memory: HashMap<usize, usize>,
}

impl LastReaders {
    /// Of values that nodes computed; a view counts as its base.
    pub(super) fn of(nodes: &[Node], saved: &SavedTensors) -> Self {
        let made = nodes.iter().filter(|node| matches!(node.op, Op::One(_) | Op::Two(_) | Op::Three(_)));
        let made: HashSet<TensorId> = made.map(|node| node.output.id).collect();
        let (mut by_name, mut by_memory) = (HashMap::new(), HashMap::new());
        for (i, node) in nodes.iter().enumerate() {
            let inputs = node.inputs.iter().enumerate().filter(|(input, _)| node.saves.input(*input));
            let output = Some(&node.output).filter(|_| node.saves.output());
            for name in inputs.map(|(_, name)| name).chain(output) {
                if made.contains(&name.id) {
                    by_name.entry(name.id).or_insert(i);
                }
                if let Some(memory) = saved.get(name.id).and_then(memory) {
                    by_memory.entry(memory).or_insert(i);
                }
            }
        }
        Self { by_name, by_memory }
    }

    /// Marks the inputs that a node reads last; `x` are their tensors.
    pub(super) fn mark(&self, node: &Node, number: usize, x: &[Tensor]) {
        // An op may have the same values as two inputs.
        let once = |place: usize| x.iter().filter(|x| memory(x) == Some(place)).count() == 1;
        let last = node.inputs.iter().zip(x).enumerate().filter(|(i, (name, x))| {
            node.saves.input(*i)
                && self.by_name.get(&name.id) == Some(&number)
                && memory(x).is_some_and(|memory| {
                    self.by_memory.get(&memory).is_none_or(|&first| first == number) && once(memory)
                })
        });
        let donated = last.map(|(_, (_, x))| x.id()).collect();
        DONATED.set(donated);
    }
}

/// The address of the values of a tensor on the CPU.
fn memory(x: &Tensor) -> Option<usize> {
    let (storage, _) = x.storage_and_layout();
    matches!(&*storage, Storage::Cpu(CpuStorage::F32(_))).then(|| std::ptr::from_ref(&*storage).addr())
}
