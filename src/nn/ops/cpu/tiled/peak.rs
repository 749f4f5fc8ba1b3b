//! What the arithmetic units give: the innermost loop on operands that stay in the first cache.

use std::time::Instant;

use super::kernel::{COLUMNS, GROUP, Order, ROWS, Target, tile};

/// Groups of depth: 14 KiB and 32 KiB of operands.
const GROUPS: usize = 16;
/// Tiles between two looks at the clock, and looks.
const TILES: usize = 2_000;
const LOOKS: usize = 8;

/// Floating-point operations a second of one thread; the best of some measurements.
pub(super) fn one_thread(bf16: bool) -> f64 {
    let (left, right) = (vec![0u32; GROUPS * GROUP * ROWS], vec![0u32; GROUPS * GROUP * COLUMNS]);
    let mut sums = vec![0.0f32; ROWS * COLUMNS];
    let lanes = (GROUPS * GROUP * ROWS * COLUMNS) as f64 * if bf16 { 2.0 } else { 1.0 };
    let mut best = f64::INFINITY;
    for _ in 0..LOOKS {
        let begun = Instant::now();
        for _ in 0..TILES {
            let target = Target { start: sums.as_mut_ptr(), stride: COLUMNS, size: (ROWS, COLUMNS), add: true };
            // SAFETY: the caller asked what the machine can; the target is the whole of `sums`.
            unsafe { tile(bf16, Order::Rows, &left, &right, &target) };
        }
        best = best.min(begun.elapsed().as_secs_f64() / TILES as f64);
    }
    std::hint::black_box(&sums);
    2.0 * lanes / best
}
