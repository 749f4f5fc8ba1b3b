//! The layout of packed operands in each number format.

use super::amx;
use super::kernel::{COLUMNS, GROUP, PackOrder, ROWS, group_lanes, tile_rows};
use crate::nn::Precision;
use crate::nn::ops::tiled::operand::DepthRun;

/// The content of a lane of 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PackFormat {
    /// A value.
    F32,
    /// Two values that are neighbours in depth.
    Bf16,
    /// The same, in the tile registers of AMX.
    Bf16Amx,
    /// Right operand: two columns; left operand: a value twice. Scales come after each group.
    F16,
}

impl PackFormat {
    pub(super) fn of(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 if amx::available() => Self::Bf16Amx,
            Precision::Bf16 => Self::Bf16,
            Precision::F16 => Self::F16,
        }
    }

    /// Rows of a panel of the left operand.
    pub(super) const fn rows(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 | Self::F16 => ROWS,
            Self::Bf16Amx => amx::ROWS,
        }
    }

    /// Lanes of depth in a block: a left panel of 28 KiB (32 with AMX) stays in the first cache, a right one of 64 KiB (32)
    /// in the second.
    pub(super) const fn block(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 | Self::F16 => 512,
            Self::Bf16Amx => 256,
        }
    }

    /// Lanes of depth in a group.
    pub(super) const fn lanes(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 | Self::Bf16Amx => GROUP,
            Self::F16 => 4 * GROUP,
        }
    }

    /// Values of depth in a group.
    pub(super) const fn depth(self) -> usize {
        match self {
            Self::F32 | Self::F16 => self.lanes(),
            Self::Bf16 | Self::Bf16Amx => 2 * self.lanes(),
        }
    }

    /// Columns of a panel of the right operand.
    pub(super) const fn columns(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 | Self::Bf16Amx => COLUMNS,
            Self::F16 => 2 * COLUMNS,
        }
    }

    /// Lanes of a group of a panel of the right operand.
    pub(super) const fn right_lanes(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 | Self::Bf16Amx => self.lanes() * COLUMNS,
            Self::F16 => self.lanes() * COLUMNS + self.columns(),
        }
    }

    /// Lanes of a group of a panel of a number of rows of the left operand.
    pub(super) fn left_lanes(self, order: PackOrder, rows: usize) -> usize {
        match (self, order) {
            (Self::F32 | Self::Bf16, _) => group_lanes(order, rows),
            (Self::Bf16Amx, _) => amx::group_lanes(rows),
            (Self::F16, PackOrder::Rows) => self.lanes() * tile_rows(rows) + GROUP,
            (Self::F16, PackOrder::Lanes) => self.lanes() * GROUP + GROUP,
        }
    }

    /// The depth of each group, less in the last group of a term.
    pub(super) fn depths(self, runs: &[DepthRun<'_>]) -> Vec<usize> {
        let step = self.depth();
        let of_run = |run: &DepthRun<'_>| {
            let n = run.depth.len();
            (0..n).step_by(step).map(move |at| step.min(n - at))
        };
        runs.iter().flat_map(of_run).collect()
    }
}
