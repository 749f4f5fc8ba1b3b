//! How factors are laid out for each number format, and what packs and multiplies them.

use super::kernel::{self, COLUMNS, GROUP, Order, Target, group_lanes, tile_rows};
use super::{f16, pack};
use crate::nn::Precision;
use crate::nn::ops::cpu::operand::{Run, View};

/// What a lane of 32 bits holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A value.
    F32,
    /// Two values that follow each other in depth.
    Bf16,
    /// Of the right operand, two columns; of the left one, a value twice. Scales stand behind each group.
    F16,
}

impl Format {
    pub(super) fn of(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 => Self::Bf16,
            Precision::F16 => Self::F16,
        }
    }

    /// Lanes of depth in a group.
    pub(super) const fn lanes(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 => GROUP,
            Self::F16 => 4 * GROUP,
        }
    }

    /// Values of depth in a group.
    pub(super) const fn depth(self) -> usize {
        match self {
            Self::F32 | Self::F16 => self.lanes(),
            Self::Bf16 => 2 * self.lanes(),
        }
    }

    /// Columns of a panel of the right operand.
    pub(super) const fn columns(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 => COLUMNS,
            Self::F16 => 2 * COLUMNS,
        }
    }

    /// Lanes of a group of a panel of the right operand.
    pub(super) const fn right_lanes(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 => self.lanes() * COLUMNS,
            Self::F16 => self.lanes() * COLUMNS + self.columns(),
        }
    }

    /// Lanes of a group of a panel of a number of rows of the left operand.
    pub(super) fn left_lanes(self, order: Order, rows: usize) -> usize {
        match (self, order) {
            (Self::F32 | Self::Bf16, _) => group_lanes(order, rows),
            (Self::F16, Order::Rows) => self.lanes() * tile_rows(rows) + GROUP,
            (Self::F16, Order::Lanes) => self.lanes() * GROUP + GROUP,
        }
    }

    /// The depth of each group that there is, which the last group of a term does not fill.
    pub(super) fn depths(self, runs: &[Run<'_>]) -> Vec<usize> {
        let step = self.depth();
        let of_run = |run: &Run<'_>| {
            let n = run.depth.len();
            (0..n).step_by(step).map(move |at| step.min(n - at))
        };
        runs.iter().flat_map(of_run).collect()
    }

    /// Packs `rows` rows from `first` on of the left operand into a panel.
    ///
    /// # Safety
    /// The machine can multiply in this format.
    pub(super) unsafe fn pack_left(self, runs: &[Run<'_>], order: Order, rows: (usize, usize), out: &mut [u32]) {
        // SAFETY: promised by the caller.
        unsafe {
            match self {
                Self::F32 | Self::Bf16 => pack::left(runs, order, rows, self == Self::Bf16, out),
                Self::F16 => f16::left(runs, order, rows, out),
            }
        }
    }

    /// Packs `columns` columns from `first` on of the right operand into a panel.
    ///
    /// # Safety
    /// As [`Format::pack_left`].
    pub(super) unsafe fn pack_right(self, b: View<'_>, columns: (usize, usize), depth: usize, out: &mut [u32]) {
        // SAFETY: promised by the caller.
        unsafe {
            match self {
                Self::F32 | Self::Bf16 => pack::right(b, columns, depth, self == Self::Bf16, out),
                Self::F16 => f16::right(b, columns, depth, out),
            }
        }
    }

    /// Fills one tile from a panel of each operand; their groups have these `depths`.
    ///
    /// # Safety
    /// As [`Format::pack_left`], and the caller may write `target`.
    pub(super) unsafe fn tile(self, order: Order, depths: &[usize], (left, right): (&[u32], &[u32]), target: &Target) {
        // SAFETY: promised by the caller.
        unsafe {
            match self {
                Self::F32 | Self::Bf16 => kernel::tile(self == Self::Bf16, order, left, right, target),
                Self::F16 => f16::tile(order, depths, left, right, target),
            }
        }
    }
}
