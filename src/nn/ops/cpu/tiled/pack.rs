//! Operands as the kernel reads them.
//!
//! The left one in panels of some rows, 16 lanes of depth of one row after those of another, so that a row-major matrix
//! is copied by whole cache lines; the right one in panels of 32 columns, one lane of depth after the other.

use std::arch::x86_64::*;

use super::kernel::{COLUMNS, GROUP};
use crate::nn::ops::cpu::operand::{Run, View};

/// Values of depth in a lane.
pub(super) const fn per_lane(bf16: bool) -> usize {
    if bf16 { 2 } else { 1 }
}

/// Packs `rows` rows from `first` on of the left operand, as a panel of `height` rows: those beyond the last are zero.
/// `out` has as many lanes as the runs are deep, times `height`.
///
/// # Safety
/// The machine has AVX-512F and BW (and AVX512-BF16 for `bf16`).
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn left(runs: &[Run<'_>], (first, rows): (usize, usize), height: usize, bf16: bool, out: &mut [u32]) {
    let depth = GROUP * per_lane(bf16);
    let mut groups = out.chunks_exact_mut(GROUP * height);
    for run in runs {
        for at in (0..run.depth.len()).step_by(depth) {
            let (k, n) = (run.depth.start + at, depth.min(run.depth.len() - at));
            let Some(out) = groups.next() else { return };
            // SAFETY: promised by the caller.
            unsafe { left_group(run.left, (first, rows), (k, n), bf16, out) };
        }
    }
}

/// # Safety
/// As [`left`].
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn left_group(x: View<'_>, (first, rows): (usize, usize), (k, n): (usize, usize), bf16: bool, out: &mut [u32]) {
    if x.along {
        // A row lies along memory.
        for (i, out) in out.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
            *out = match i < rows {
                // SAFETY: promised by the caller.
                true => unsafe { lanes_along(x.line(first + i, k, n), bf16) },
                false => [0; GROUP],
            };
        }
        return;
    }
    let mut block = [[0; GROUP]; GROUP]; // (lane, row)
    for (lane, block) in block.iter_mut().enumerate().take(n.div_ceil(per_lane(bf16))) {
        let k = k + lane * per_lane(bf16);
        let second = (bf16 && lane * 2 + 1 < n).then(|| x.line(k + 1, first, rows));
        // SAFETY: promised by the caller.
        *block = unsafe { lanes_across(x.line(k, first, rows), second, bf16) };
    }
    // SAFETY: as above.
    let block = unsafe { turned(&block) }; // (row, lane)
    for (out, row) in out.as_chunks_mut::<GROUP>().0.iter_mut().zip(block) {
        *out = row;
    }
}

/// Packs `columns` columns from `first` on of the right operand into one panel.
///
/// # Safety
/// As [`left`].
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn right(
    b: View<'_>,
    (first, columns): (usize, usize),
    depth: std::ops::Range<usize>,
    bf16: bool,
    out: &mut [u32],
) {
    let step = GROUP * per_lane(bf16);
    let groups = depth.clone().step_by(step).zip(out.chunks_exact_mut(GROUP * COLUMNS));
    for (k, out) in groups {
        let n = step.min(depth.end - k);
        for half in 0..columns.div_ceil(16) {
            let (first, columns) = (first + 16 * half, (columns - 16 * half).min(16));
            // SAFETY: promised by the caller.
            let block = unsafe { right_block(b, (first, columns), (k, n), bf16) };
            for (out, lanes) in out.as_chunks_mut::<COLUMNS>().0.iter_mut().zip(block) {
                out[16 * half..16 * half + 16].copy_from_slice(&lanes);
            }
        }
    }
}

/// 16 columns of 16 lanes: (lane, column).
///
/// # Safety
/// As [`left`].
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn right_block(
    b: View<'_>,
    (first, columns): (usize, usize),
    (k, n): (usize, usize),
    bf16: bool,
) -> [[u32; GROUP]; GROUP] {
    let mut block = [[0; GROUP]; GROUP];
    if b.along {
        // The columns of one depth lie along memory.
        for (lane, block) in block.iter_mut().enumerate().take(n.div_ceil(per_lane(bf16))) {
            let k = k + lane * per_lane(bf16);
            let second = (bf16 && lane * 2 + 1 < n).then(|| b.line(k + 1, first, columns));
            // SAFETY: promised by the caller.
            *block = unsafe { lanes_across(b.line(k, first, columns), second, bf16) };
        }
        return block;
    }
    for (j, block) in block.iter_mut().enumerate().take(columns) {
        // SAFETY: promised by the caller.
        *block = unsafe { lanes_along(b.line(first + j, k, n), bf16) };
    }
    // SAFETY: as above.
    unsafe { turned(&block) }
}

/// Values that follow each other in depth, as 16 lanes; what is missing is 0.
///
/// # Safety
/// As [`left`].
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn lanes_along(values: &[f32], bf16: bool) -> [u32; GROUP] {
    if !bf16 {
        return bits(values);
    }
    let (low, high) = values.split_at(values.len().min(16));
    // SAFETY: the caller promises AVX512-BF16 where it asks for bf16.
    unsafe { pairs_of(bits(low), bits(high)) }
}

/// Values of one depth (or of two, for bf16) side by side, as 16 lanes.
///
/// # Safety
/// As [`left`].
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn lanes_across(first: &[f32], second: Option<&[f32]>, bf16: bool) -> [u32; GROUP] {
    if !bf16 {
        return bits(first);
    }
    // SAFETY: as in `lanes_along`.
    unsafe { woven(bits(first), bits(second.unwrap_or(&[]))) }
}

/// Up to 16 values and zeros behind them.
#[target_feature(enable = "avx512f")]
fn bits(values: &[f32]) -> [u32; GROUP] {
    let mut out = [0; GROUP];
    let mask = ((1u32 << values.len().min(16)) - 1) as __mmask16;
    // SAFETY: only lanes that are there are read, and 16 are written.
    unsafe {
        let x = _mm512_maskz_loadu_ps(mask, values.as_ptr());
        _mm512_storeu_ps(out.as_mut_ptr().cast(), x);
    }
    out
}

/// 32 values as bf16, two in a lane: (0, 1), (2, 3), …
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn pairs_of(low: [u32; GROUP], high: [u32; GROUP]) -> [u32; GROUP] {
    // SAFETY: the arrays have 16 lanes of 32 bits, as the registers do.
    unsafe {
        let pairs = _mm512_cvtne2ps_pbh(
            std::mem::transmute::<[u32; GROUP], __m512>(high),
            std::mem::transmute::<[u32; GROUP], __m512>(low),
        );
        std::mem::transmute::<__m512bh, [u32; GROUP]>(pairs)
    }
}

/// 16 + 16 values as bf16: lane i has the i-th of both.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn woven(low: [u32; GROUP], high: [u32; GROUP]) -> [u32; GROUP] {
    // SAFETY: as in `pairs_of`.
    unsafe {
        let (low, high) = (
            _mm512_cvtneps_pbh(std::mem::transmute::<[u32; GROUP], __m512>(low)),
            _mm512_cvtneps_pbh(std::mem::transmute::<[u32; GROUP], __m512>(high)),
        );
        let low = _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(low));
        let high = _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(high));
        let both = _mm512_or_si512(low, _mm512_slli_epi32::<16>(high));
        std::mem::transmute::<__m512i, [u32; GROUP]>(both)
    }
}

/// The transpose of 16 × 16 lanes: pairs of lanes, pairs of pairs, then quarters of registers change places.
#[target_feature(enable = "avx512f")]
unsafe fn turned(block: &[[u32; GROUP]; GROUP]) -> [[u32; GROUP]; GROUP] {
    let mut out = [[0; GROUP]; GROUP];
    // SAFETY: 16 rows of 16 lanes are read and written.
    unsafe {
        let r: [__m512i; 16] = std::array::from_fn(|i| _mm512_loadu_si512(block[i].as_ptr().cast()));
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
        for c in 0..4 {
            let (a, b, d, e) = (fours[c], fours[4 + c], fours[8 + c], fours[12 + c]);
            let (ab0, ab1) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
            let (de0, de1) = (_mm512_shuffle_i32x4::<0x88>(d, e), _mm512_shuffle_i32x4::<0xdd>(d, e));
            // ab0 has quarters 0, 2 of a and of b; ab1 has quarters 1, 3.
            let rows = [
                _mm512_shuffle_i32x4::<0x88>(ab0, de0),
                _mm512_shuffle_i32x4::<0x88>(ab1, de1),
                _mm512_shuffle_i32x4::<0xdd>(ab0, de0),
                _mm512_shuffle_i32x4::<0xdd>(ab1, de1),
            ];
            for (quarter, row) in rows.into_iter().enumerate() {
                _mm512_storeu_si512(out[4 * quarter + c].as_mut_ptr().cast(), row);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_a_block_exchanges_rows_and_lanes() {
        if !std::is_x86_feature_detected!("avx512f") {
            return;
        }
        let block: [[u32; 16]; 16] = std::array::from_fn(|i| std::array::from_fn(|j| (100 * i + j) as u32));
        // SAFETY: asked just now.
        let back = unsafe { turned(&block) };
        for (i, row) in back.iter().enumerate() {
            for (j, lane) in row.iter().enumerate() {
                assert_eq!(*lane, (100 * j + i) as u32, "({i}, {j})");
            }
        }
    }
}
