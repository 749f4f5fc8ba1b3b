//! The peak arithmetic rate: the innermost loop on operands that stay in the first-level cache.

use std::time::Instant;

use super::format::PackFormat;
use super::kernel::{PackOrder, TileTarget};

/// Lanes of depth: 14 KiB (32 with AMX) and 32 KiB of operands.
const LANES: usize = 256;
/// Tiles in a measurement, and number of measurements.
const TILES: usize = 2_000;
const LOOKS: usize = 8;

/// Floating-point operations a second of one thread; the best of some measurements.
pub(super) fn one_thread(format: PackFormat) -> f64 {
    let (groups, high, wide) = (LANES / format.lanes(), format.rows(), format.columns());
    let left = vec![0u32; groups * format.left_lanes(PackOrder::Rows, high)];
    let right = vec![0u32; groups * format.right_lanes()];
    let depths = vec![format.depth(); groups];
    let mut sums = vec![0.0f32; high * wide];
    let products = (groups * format.depth() * high * wide) as f64;
    // SAFETY: the caller asked what the machine can.
    let _configured = unsafe { format.configure() };
    let mut best = f64::INFINITY;
    for _ in 0..LOOKS {
        let begun = Instant::now();
        for _ in 0..TILES {
            let target = TileTarget { start: sums.as_mut_ptr(), stride: wide, size: (high, wide), add: true };
            // SAFETY: the caller asked what the machine can; the target is the whole of `sums`.
            unsafe { format.tile(PackOrder::Rows, &depths, (&left, &right), &target) };
        }
        best = best.min(begun.elapsed().as_secs_f64() / TILES as f64);
    }
    std::hint::black_box(&sums);
    2.0 * products / best
}
