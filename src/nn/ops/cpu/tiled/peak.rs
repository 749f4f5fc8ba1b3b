//! What the arithmetic units give: the innermost loop on operands that stay in the first cache.

use std::time::Instant;

use super::format::Format;
use super::kernel::{Order, ROWS, Target};

/// Lanes of depth: 14 KiB and 32 KiB of operands.
const LANES: usize = 256;
/// Tiles between two looks at the clock, and looks.
const TILES: usize = 2_000;
const LOOKS: usize = 8;

/// Floating-point operations a second of one thread; the best of some measurements.
pub(super) fn one_thread(format: Format) -> f64 {
    let (groups, wide) = (LANES / format.lanes(), format.columns());
    let left = vec![0u32; groups * format.left_lanes(Order::Rows, ROWS)];
    let right = vec![0u32; groups * format.right_lanes()];
    let depths = vec![format.depth(); groups];
    let mut sums = vec![0.0f32; ROWS * wide];
    let products = (groups * format.depth() * ROWS * wide) as f64;
    let mut best = f64::INFINITY;
    for _ in 0..LOOKS {
        let begun = Instant::now();
        for _ in 0..TILES {
            let target = Target { start: sums.as_mut_ptr(), stride: wide, size: (ROWS, wide), add: true };
            // SAFETY: the caller asked what the machine can; the target is the whole of `sums`.
            unsafe { format.tile(Order::Rows, &depths, (&left, &right), &target) };
        }
        best = best.min(begun.elapsed().as_secs_f64() / TILES as f64);
    }
    std::hint::black_box(&sums);
    2.0 * products / best
}
