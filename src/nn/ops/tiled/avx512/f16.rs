//! Products of f16, summed in f16 over a group of 64 and then in f32: AVX512-FP16 multiplies and adds 32 values at
//! once.
//!
//! f16 has 11 bits of significand, but a range of 2⁻²⁴ to 2¹⁶ only. So the 64 values of a row of the left operand, and
//! of a column of the right one, are divided by the greatest of them, and each sum of 64 is multiplied by both before
//! it is added to the f32 sums. The blocks of 64 of NF4 are such columns. The rounding error is about that of bf16
//! factors.

use std::arch::x86_64::*;

use super::format::PackFormat;
use super::kernel::{COLUMNS, GROUP, PackOrder, ROWS, TileTarget, tile_rows};
use super::pack::{some, turned as turned_lanes};
use crate::nn::ops::tiled::operand::{DepthRun, View};

/// Depth of a group.
const DEPTH: usize = PackFormat::F16.depth();
/// Columns of a panel.
const WIDE: usize = PackFormat::F16.columns();

/// Packs `rows` rows from `first` on of the left operand into a panel: of each group the values, each twice, and 16 scales.
///
/// # Safety
/// The machine has AVX-512F, BW and DQ.
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
pub(super) unsafe fn left(runs: &[DepthRun<'_>], order: PackOrder, (first, rows): (usize, usize), out: &mut [u32]) {
    let mut groups = out.chunks_exact_mut(PackFormat::F16.left_lanes(order, rows));
    for run in runs {
        for at in (0..run.depth.len()).step_by(DEPTH) {
            let (k, n) = (run.depth.start + at, DEPTH.min(run.depth.len() - at));
            let Some(group) = groups.next() else { return };
            let (values, scales) = group.split_at_mut(group.len() - GROUP);
            match order {
                PackOrder::Rows => {
                    for (i, (out, scale)) in values.chunks_exact_mut(DEPTH).zip(scales).enumerate() {
                        let line = if i < rows { run.left.line(first + i, k, n) } else { &[] };
                        *scale = twice_along(line, out).to_bits();
                    }
                }
                PackOrder::Lanes => {
                    let lines = |at: usize| some(run.left.line(k + at, first, rows));
                    let most =
                        (0..n).fold(_mm512_setzero_ps(), |most, at| _mm512_max_ps(most, _mm512_abs_ps(lines(at))));
                    let over = inverse(most);
                    for (at, out) in values.chunks_exact_mut(GROUP).enumerate().take(n) {
                        // SAFETY: `out` has 16 lanes.
                        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), twice(_mm512_mul_ps(lines(at), over))) };
                    }
                    // SAFETY: there are 16 scales.
                    unsafe { _mm512_storeu_ps(scales.as_mut_ptr().cast(), most) };
                }
            }
        }
    }
}

/// Divides up to 64 values by the greatest, each twice in a lane; gives the greatest.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
fn twice_along(values: &[f32], out: &mut [u32]) -> f32 {
    let parts: [__m512; DEPTH / 16] = std::array::from_fn(|t| some(values.get(16 * t..).unwrap_or_default()));
    let most = parts.iter().fold(_mm512_setzero_ps(), |most, &part| _mm512_max_ps(most, _mm512_abs_ps(part)));
    let most = _mm512_reduce_max_ps(most);
    let over = inverse(_mm512_set1_ps(most));
    for (part, out) in parts.into_iter().zip(out.chunks_exact_mut(16)) {
        // SAFETY: `out` has 16 lanes.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), twice(_mm512_mul_ps(part, over))) };
    }
    most
}

/// Packs `columns` columns from `first` on of the right operand into one panel: of each group 64 rows of 64 values, then 64
/// scales.
///
/// # Safety
/// As [`left`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
pub(super) unsafe fn right(b: View<'_>, (first, columns): (usize, usize), depth: usize, out: &mut [u32]) {
    for (k, group) in (0..depth).step_by(DEPTH).zip(out.chunks_exact_mut(PackFormat::F16.right_lanes())) {
        let n = DEPTH.min(depth - k);
        let (values, scales) = group.split_at_mut(DEPTH * COLUMNS);
        for quarter in 0..WIDE / 16 {
            let (first, count) = (first + 16 * quarter, columns.saturating_sub(16 * quarter).min(16));
            let mut block = [_mm512_setzero_ps(); DEPTH];
            if b.along {
                for (at, line) in block.iter_mut().enumerate().take(if count > 0 { n } else { 0 }) {
                    *line = some(b.line(k + at, first, count));
                }
            } else {
                for (t, block) in block.as_chunks_mut::<16>().0.iter_mut().enumerate().take(n.div_ceil(16)) {
                    let part = |j| some(b.line(first + j, k + 16 * t, (n - 16 * t).min(16)));
                    *block = turned(std::array::from_fn(|j| if j < count { part(j) } else { _mm512_setzero_ps() }));
                }
            }
            let most =
                block[..n].iter().fold(_mm512_setzero_ps(), |most, &line| _mm512_max_ps(most, _mm512_abs_ps(line)));
            let over = inverse(most);
            for (line, out) in block.into_iter().zip(values.chunks_exact_mut(COLUMNS)).take(n) {
                let halves =
                    _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(_mm512_mul_ps(line, over));
                // SAFETY: a row has 32 lanes, four quarters of 8.
                unsafe { _mm256_storeu_si256(out.as_mut_ptr().add(8 * quarter).cast(), halves) };
            }
            // SAFETY: there are 64 scales.
            unsafe { _mm512_storeu_ps(scales.as_mut_ptr().add(16 * quarter).cast(), most) };
        }
    }
}

/// 1 / x; 0 where that is not finite.
#[inline]
#[target_feature(enable = "avx512f")]
fn inverse(x: __m512) -> __m512 {
    let over = _mm512_div_ps(_mm512_set1_ps(1.0), x);
    _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(over, _mm512_set1_ps(f32::INFINITY)), over)
}

/// 16 values as f16, each twice in its lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn twice(x: __m512) -> __m512i {
    let halves = _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
    let low = _mm512_cvtepu16_epi32(halves);
    _mm512_or_si512(low, _mm512_slli_epi32::<16>(low))
}

/// The transpose of 16 × 16 values.
#[inline]
#[target_feature(enable = "avx512f")]
fn turned(block: [__m512; 16]) -> [__m512; 16] {
    turned_lanes(block.map(|x| _mm512_castps_si512(x))).map(|x| _mm512_castsi512_ps(x))
}

/// Fills one tile from a panel of each operand, whose groups have these depths.
///
/// # Safety
/// The machine has AVX512-FP16, and the caller may write `target`.
pub(super) unsafe fn tile(order: PackOrder, depths: &[usize], left: &[u32], right: &[u32], target: &TileTarget) {
    let rows = tile_rows(target.size.0);
    assert!(
        left.len() >= depths.len() * PackFormat::F16.left_lanes(order, rows)
            && right.len() == depths.len() * PackFormat::F16.right_lanes()
            && depths.iter().all(|&n| n <= DEPTH)
            && target.size.0 <= rows
            && target.size.1 <= WIDE
    );
    let (left, right) = (left.as_ptr(), right.as_ptr());
    macro_rules! choose {
        ($turned:literal) => {
            match (rows, target.size.1 > COLUMNS) {
                (ROWS, true) => sums::<ROWS, 2, $turned>(depths, left, right, target),
                (ROWS, false) => sums::<ROWS, 1, $turned>(depths, left, right, target),
                (8, true) => sums::<8, 2, $turned>(depths, left, right, target),
                (8, false) => sums::<8, 1, $turned>(depths, left, right, target),
                (4, true) => sums::<4, 2, $turned>(depths, left, right, target),
                (4, false) => sums::<4, 1, $turned>(depths, left, right, target),
                (_, true) => sums::<2, 2, $turned>(depths, left, right, target),
                (_, false) => sums::<2, 1, $turned>(depths, left, right, target),
            }
        };
    }
    // SAFETY: lengths were checked above; the rest is promised by the caller.
    unsafe {
        match order {
            PackOrder::Rows => choose!(false),
            PackOrder::Lanes => choose!(true),
        }
    }
}

/// A tile of R rows and 32 · C columns.
///
/// # Safety
/// As [`tile`]; the panels have as many lanes as their format says.
#[target_feature(enable = "avx512f,avx512fp16")]
unsafe fn sums<const R: usize, const C: usize, const T: bool>(
    depths: &[usize],
    mut left: *const u32,
    mut right: *const u32,
    target: &TileTarget,
) {
    for (g, &depth) in depths.iter().enumerate() {
        let mut sums = [[_mm512_setzero_ph(); C]; R];
        // SAFETY: the caller promises that all these lanes and elements are there.
        unsafe {
            for k in 0..depth {
                let b: [__m512h; C] = std::array::from_fn(|c| {
                    _mm512_castsi512_ph(_mm512_loadu_si512(right.add(k * COLUMNS + 16 * c).cast()))
                });
                for (i, sums) in sums.iter_mut().enumerate() {
                    let place = if T { k * GROUP + i } else { i * DEPTH + k };
                    let a = _mm512_castsi512_ph(_mm512_set1_epi32(*left.add(place) as i32));
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = _mm512_fmadd_ph(a, b, *sum);
                    }
                }
            }
            let (lefts, rights) = (left.add(if T { DEPTH * GROUP } else { DEPTH * R }), right.add(DEPTH * COLUMNS));
            join(&sums, (lefts.cast(), rights.cast()), target, target.add || g > 0);
            left = lefts.add(GROUP);
            right = rights.add(WIDE);
        }
    }
}

/// Adds the sums of a group, times the scales of their row and column, to the target.
///
/// # Safety
/// The target may be written, and there is a scale for each row and column.
#[inline]
#[target_feature(enable = "avx512f,avx512fp16")]
unsafe fn join<const R: usize, const C: usize>(
    sums: &[[__m512h; C]; R],
    (rows, columns): (*const f32, *const f32),
    target: &TileTarget,
    add: bool,
) {
    for (i, sums) in sums.iter().enumerate().take(target.size.0) {
        // SAFETY: promised by the caller; only columns that exist are read and written.
        unsafe {
            let scale = _mm512_set1_ps(*rows.add(i));
            for (c, &sum) in sums.iter().enumerate() {
                let sum = _mm512_castph_si512(sum);
                let halves = [_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64::<1>(sum)];
                for (h, half) in halves.into_iter().enumerate() {
                    let j = 2 * c + h;
                    let (place, mask) = (target.start.add(i * target.stride).wrapping_add(16 * j), target.mask(j));
                    let scale = _mm512_mul_ps(scale, _mm512_loadu_ps(columns.add(16 * j)));
                    let old = if add { _mm512_maskz_loadu_ps(mask, place) } else { _mm512_setzero_ps() };
                    _mm512_mask_storeu_ps(place, mask, _mm512_fmadd_ps(_mm512_cvtph_ps(half), scale, old));
                }
            }
        }
    }
}
