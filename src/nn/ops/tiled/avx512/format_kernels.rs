//! The kernels of each number format: packing of operands, and multiplication of a tile.

use super::format::PackFormat;
use super::kernel::{self, PackOrder, TileTarget};
use super::{amx, f16, pack};
use crate::nn::ops::tiled::operand::{DepthRun, View};

impl PackFormat {
    /// Packs `rows` rows from `first` on of the left operand into a panel.
    ///
    /// # Safety
    /// The machine has the instructions of this format.
    pub(super) unsafe fn pack_left(
        self,
        runs: &[DepthRun<'_>],
        order: PackOrder,
        rows: (usize, usize),
        out: &mut [u32],
    ) {
        // SAFETY: promised by the caller.
        unsafe {
            match self {
                Self::F32 => pack::left::<false>(runs, order, rows, out),
                Self::Bf16 => pack::left::<true>(runs, order, rows, out),
                Self::Bf16Amx => amx::left(runs, order, rows, out),
                Self::F16 => f16::left(runs, order, rows, out),
            }
        }
    }

    /// Packs `columns` columns from `first` on of the right operand into a panel.
    ///
    /// # Safety
    /// As [`PackFormat::pack_left`].
    pub(super) unsafe fn pack_right(self, b: View<'_>, columns: (usize, usize), depth: usize, out: &mut [u32]) {
        // SAFETY: promised by the caller.
        unsafe {
            match self {
                Self::F32 => pack::right::<false>(b, columns, depth, out),
                Self::Bf16 | Self::Bf16Amx => pack::right::<true>(b, columns, depth, out),
                Self::F16 => f16::right(b, columns, depth, out),
            }
        }
    }

    /// Readies this thread for [`PackFormat::tile`], until what it gives is dropped.
    ///
    /// # Safety
    /// As [`PackFormat::pack_left`].
    pub(super) unsafe fn configure(self) -> Option<amx::Configured> {
        // SAFETY: promised by the caller.
        (self == Self::Bf16Amx).then(|| unsafe { amx::Configured::new() })
    }

    /// Fills one tile from a panel of each operand; their groups have these `depths`.
    ///
    /// # Safety
    /// As [`PackFormat::pack_left`], this thread is ready ([`PackFormat::configure`]), and the caller may write `target`.
    pub(super) unsafe fn tile(
        self,
        order: PackOrder,
        depths: &[usize],
        (left, right): (&[u32], &[u32]),
        target: &TileTarget,
    ) {
        // SAFETY: promised by the caller.
        unsafe {
            match self {
                Self::F32 | Self::Bf16 => kernel::tile(self == Self::Bf16, order, left, right, target),
                Self::Bf16Amx => amx::tile(left, right, target),
                Self::F16 => f16::tile(order, depths, left, right, target),
            }
        }
    }
}
