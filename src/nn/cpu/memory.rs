//! Tensors as slices of f32, and slices as tensors.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Layout, Storage, StorageRef, Tensor};

/// The values of a contiguous f32 storage.
pub(in crate::nn) fn floats_of<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => Err(candle_core::Error::RequiresContiguous { op: "a CPU op" }.bt()),
    }
}

/// The values of a contiguous f32 tensor on the CPU, borrowed.
pub(in crate::nn) struct Floats<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

impl Deref for Floats<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => unreachable!("checked by floats()"),
        }
    }
}

/// Borrows the values of a contiguous f32 tensor on the CPU.
pub(in crate::nn) fn floats(x: &Tensor) -> candle_core::Result<Floats<'_>> {
    let (storage, layout) = x.storage_and_layout();
    let range = match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(_)), Some((start, end))) => start..end,
        _ => return Err(candle_core::Error::msg("a CPU op needs a contiguous f32 tensor on the CPU")),
    };
    Ok(Floats { storage, range })
}

/// A vector of `len` values, all written by `write`, without zeroing it first.
///
/// # Safety
/// `write` must initialise every element.
pub(in crate::nn) unsafe fn fill(len: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut out = Vec::with_capacity(len);
    write(&mut out.spare_capacity_mut()[..len]);
    // SAFETY: the capacity is there, and the caller promises that all elements were written.
    unsafe { out.set_len(len) };
    out
}

/// A mutable slice that several threads write, each its own part.
#[derive(Clone, Copy)]
pub(in crate::nn) struct Disjoint<'a> {
    start: *mut f32,
    len: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: the parts are handed out by unsafe methods whose callers promise that no two overlap.
unsafe impl Send for Disjoint<'_> {}
// SAFETY: as above.
unsafe impl Sync for Disjoint<'_> {}

impl<'a> Disjoint<'a> {
    /// Wraps a slice for the time its parts are written.
    pub(in crate::nn) fn new(values: &'a mut [f32]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len(), life: PhantomData }
    }

    /// As [`Disjoint::new`], for memory that is not initialised yet: parts may only be written.
    pub(in crate::nn) fn uninit(values: &'a mut [MaybeUninit<f32>]) -> Self {
        Self { start: values.as_mut_ptr().cast(), len: values.len(), life: PhantomData }
    }

    /// `len` elements from `start` on.
    ///
    /// # Safety
    /// They are there for as long as the handle lives, and no one else uses them.
    pub(super) unsafe fn raw(start: *mut f32, len: usize) -> Self {
        Self { start, len, life: PhantomData }
    }

    /// Where the part that begins at `offset` and spans `len` elements begins.
    ///
    /// # Panics
    /// When the part is not inside the slice.
    pub(in crate::nn) fn at(&self, offset: usize, len: usize) -> *mut f32 {
        assert!(offset <= self.len && len <= self.len - offset, "part {offset}+{len} of {}", self.len);
        self.start.wrapping_add(offset)
    }

    /// One part.
    ///
    /// # Safety
    /// No other part in use may overlap it, and its memory must be initialised.
    // The whole point is that parts are taken mutably through a shared handle.
    #[allow(clippy::mut_from_ref)]
    pub(in crate::nn) unsafe fn part(&self, range: Range<usize>) -> &'a mut [f32] {
        let start = self.at(range.start, range.len());
        // SAFETY: inside the slice (checked above); the caller promises initialised memory and no overlap.
        unsafe { std::slice::from_raw_parts_mut(start, range.len()) }
    }
}
