//! Packs the operands of a product for the AVX-512 kernels.
//!
//! The left one in panels of some rows, in the order of its memory (see [`PackOrder`]); the right one in panels of 32
//! columns, one lane of depth after the other. Both are read and written in whole registers.

use std::arch::x86_64::*;

use super::kernel::{COLUMNS, GROUP, PackOrder, group_lanes};
use crate::nn::ops::tiled::operand::{DepthRun, View};

/// Values of depth in a lane.
const fn per_lane(bf16: bool) -> usize {
    if bf16 { 2 } else { 1 }
}

/// The packing order of the left operand of these runs.
pub(super) fn order(runs: &[DepthRun<'_>]) -> PackOrder {
    let along = runs.first().is_none_or(|run| run.left.along);
    assert!(runs.iter().all(|run| run.left.along == along), "left operands in different orders");
    if along { PackOrder::Rows } else { PackOrder::Lanes }
}

/// Packs `rows` rows from `first` on of the left operand into a panel, padded with zeros. `out` has the groups of all
/// runs.
///
/// The number format is a const parameter here and below: only then are the innermost functions inlined.
///
/// # Safety
/// The machine has AVX-512F and BW (and AVX512-BF16 for `BF16`).
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn left<const BF16: bool>(
    runs: &[DepthRun<'_>],
    order: PackOrder,
    (first, rows): (usize, usize),
    out: &mut [u32],
) {
    let depth = GROUP * per_lane(BF16);
    let mut groups = out.chunks_exact_mut(group_lanes(order, rows));
    for run in runs {
        for at in (0..run.depth.len()).step_by(depth) {
            let (k, n) = (run.depth.start + at, depth.min(run.depth.len() - at));
            let Some(out) = groups.next() else { return };
            let x = run.left;
            for (i, out) in out.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
                // SAFETY: promised by the caller.
                let lanes = unsafe {
                    match order {
                        PackOrder::Rows if i < rows => along::<BF16>(x.line(first + i, k, n)),
                        PackOrder::Lanes => across::<BF16>(x, (k, n), i, (first, rows)),
                        PackOrder::Rows => _mm512_setzero_si512(),
                    }
                };
                // SAFETY: a register has as many lanes as the array.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), lanes) };
            }
        }
    }
}

/// Packs `columns` columns from `first` on of the right operand into one panel.
///
/// # Safety
/// As [`left`].
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn right<const BF16: bool>(
    b: View<'_>,
    (first, columns): (usize, usize),
    depth: usize,
    out: &mut [u32],
) {
    let step = GROUP * per_lane(BF16);
    for (k, out) in (0..depth).step_by(step).zip(out.chunks_exact_mut(GROUP * COLUMNS)) {
        let n = step.min(depth - k);
        for half in 0..columns.div_ceil(16) {
            let part = (first + 16 * half, (columns - 16 * half).min(16));
            // SAFETY: promised by the caller; the last of 16 rows of lanes ends where `out` does or 16 lanes earlier.
            unsafe {
                let block = match b.along {
                    true => lanes::<BF16>(b, (k, n), part),
                    false => turned(lines::<BF16>(b, (k, n), part)),
                };
                for (lane, values) in block.into_iter().enumerate() {
                    _mm512_storeu_si512(out.as_mut_ptr().add(lane * COLUMNS + 16 * half).cast(), values);
                }
            }
        }
    }
}

/// Up to 16 lines from `first` on, a register each: their values at depth `k` to `k + n`, padded with zeros.
///
/// # Safety
/// As [`left`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn lines<const BF16: bool>(
    x: View<'_>,
    (k, n): (usize, usize),
    (first, count): (usize, usize),
) -> [__m512i; GROUP] {
    std::array::from_fn(|i| match i < count {
        // SAFETY: promised by the caller.
        true => unsafe { along::<BF16>(x.line(first + i, k, n)) },
        false => _mm512_setzero_si512(),
    })
}

/// The lanes of a group at depth `k` (of `n`), a register each: up to 16 values across them, padded with zeros.
///
/// # Safety
/// As [`left`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn lanes<const BF16: bool>(
    x: View<'_>,
    depth: (usize, usize),
    part: (usize, usize),
) -> [__m512i; GROUP] {
    // SAFETY: promised by the caller.
    std::array::from_fn(|lane| unsafe { across::<BF16>(x, depth, lane, part) })
}

/// Values that are neighbours in depth, as 16 lanes, padded with 0.
///
/// # Safety
/// As [`left`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn along<const BF16: bool>(values: &[f32]) -> __m512i {
    if !BF16 {
        return _mm512_castps_si512(some(values));
    }
    let (low, high) = values.split_at(values.len().min(16));
    // SAFETY: the caller promises AVX512-BF16 where it asks for bf16.
    unsafe { pairs_of(some(low), some(high)) }
}

/// Lane `lane` of a group at depth `k` (of `n`), of up to 16 values across it.
///
/// # Safety
/// As [`left`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn across<const BF16: bool>(
    x: View<'_>,
    (k, n): (usize, usize),
    lane: usize,
    (first, count): (usize, usize),
) -> __m512i {
    let line = |at: usize| if at < n { some(x.line(k + at, first, count)) } else { _mm512_setzero_ps() };
    if !BF16 {
        return _mm512_castps_si512(line(lane));
    }
    // SAFETY: as in `along`.
    unsafe { woven(line(2 * lane), line(2 * lane + 1)) }
}

/// Up to 16 values, padded with zeros.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn some(values: &[f32]) -> __m512 {
    let mask = ((1u32 << values.len().min(16)) - 1) as __mmask16;
    // SAFETY: only what is there is read.
    unsafe { _mm512_maskz_loadu_ps(mask, values.as_ptr()) }
}

/// 32 values as bf16, two in a lane: (0, 1), (2, 3), …
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn pairs_of(low: __m512, high: __m512) -> __m512i {
    // SAFETY: both types are 512 bits.
    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) }
}

/// 16 + 16 values as bf16: lane i has the i-th of both.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn woven(low: __m512, high: __m512) -> __m512i {
    // SAFETY: both types are 256 bits.
    let half = |x: __m512| unsafe { std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x)) };
    let (low, high) = (_mm512_cvtepu16_epi32(half(low)), _mm512_cvtepu16_epi32(half(high)));
    _mm512_or_si512(low, _mm512_slli_epi32::<16>(high))
}

/// The transpose of 16 × 16 lanes: pairs of lanes, pairs of pairs, then quarters of registers change places.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn turned(r: [__m512i; GROUP]) -> [__m512i; GROUP] {
    let pairs: [__m512i; 16] = std::array::from_fn(|i| {
        let (a, b) = (r[i / 2 * 2], r[i / 2 * 2 + 1]);
        if i % 2 == 0 { _mm512_unpacklo_epi32(a, b) } else { _mm512_unpackhi_epi32(a, b) }
    });
    // fours[4 g + c] has column c of each quarter, of rows 4 g to 4 g + 3.
    let fours: [__m512i; 16] = std::array::from_fn(|i| {
        let (g, c) = (i / 4 * 4, i % 4);
        let (a, b) = (pairs[g + c / 2], pairs[g + 2 + c / 2]);
        if c % 2 == 0 { _mm512_unpacklo_epi64(a, b) } else { _mm512_unpackhi_epi64(a, b) }
    });
    std::array::from_fn(|i| {
        let (quarter, c) = (i / 4, i % 4);
        let (a, b, d, e) = (fours[c], fours[4 + c], fours[8 + c], fours[12 + c]);
        // Quarters 0 and 2 of two registers, or 1 and 3; then the first or the second of each.
        let (ab, de) = match quarter % 2 {
            0 => (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(d, e)),
            _ => (_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(d, e)),
        };
        match quarter / 2 {
            0 => _mm512_shuffle_i32x4::<0x88>(ab, de),
            _ => _mm512_shuffle_i32x4::<0xdd>(ab, de),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_a_block_exchanges_rows_and_lanes() {
        if !std::is_x86_feature_detected!("avx512f") {
            return crate::nn::cpu::skip("avx512f");
        }
        let block: [[u32; 16]; 16] = std::array::from_fn(|i| std::array::from_fn(|j| (100 * i + j) as u32));
        // SAFETY: asked just now; arrays of 16 registers and of 16 × 16 lanes are the same bits.
        let back = unsafe {
            let turned = turned(std::mem::transmute::<[[u32; 16]; 16], [__m512i; 16]>(block));
            std::mem::transmute::<[__m512i; 16], [[u32; 16]; 16]>(turned)
        };
        for (i, row) in back.iter().enumerate() {
            for (j, lane) in row.iter().enumerate() {
                assert_eq!(*lane, (100 * j + i) as u32, "({i}, {j})");
            }
        }
    }
}
