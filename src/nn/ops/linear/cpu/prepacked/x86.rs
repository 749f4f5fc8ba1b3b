//! The AVX512-VNNI kernel: one panel and a group of rows at a time.

use std::arch::x86_64::*;

use super::{BLOCK, LINES, PANEL, PanelRef, PrepackedInput, group, table};
use crate::nn::cpu::Fetch;
use crate::nn::cpu::MANY;

/// Bytes of codes that are prefetched.
const AHEAD: usize = 2048;

/// Computes the outputs of a panel for some rows from `row` on, into y (outputs, rows); gives the number of rows.
pub(super) fn some(x: &PrepackedInput, row: usize, panel: PanelRef<'_>, y: &mut [f32], fetch: &mut Fetch<'_>) -> usize {
    // SAFETY: `Prepacked::new` asked what the machine can; each call takes a group of rows as they are laid out.
    unsafe {
        match group(x.rows - row) {
            8 => store::<8>(sums::<8, 1>(x, row, panel, fetch), x.rows, row, y),
            4 => store::<4>(sums::<4, 2>(x, row, panel, fetch), x.rows, row, y),
            2 => store::<2>(sums::<2, 2>(x, row, panel, fetch), x.rows, row, y),
            _ => store::<1>(sums::<1, 4>(x, row, panel, fetch), x.rows, row, y),
        }
    }
}

/// The sums of 16 outputs for R rows. Integers are summed in N parts, since a sum has to wait for the one before it.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,f16c,avx")]
fn sums<const R: usize, const N: usize>(
    x: &PrepackedInput,
    row: usize,
    (codes, scales, unit): PanelRef<'_>,
    fetch: &mut Fetch<'_>,
) -> [__m512; R] {
    let blocks = x.wide / BLOCK;
    assert!(row + R <= x.rows && codes.len() == blocks * LINES && scales.len() == blocks);
    let mut all = [_mm512_setzero_ps(); R];
    // SAFETY: the table has 32 values, a line is a register; rows, blocks and lines are there, checked above.
    unsafe {
        let table = _mm512_loadu_si512(table().as_ptr().cast());
        for (block, lines) in codes.as_chunks::<LINES>().0.iter().enumerate() {
            let pairs = x.values.as_ptr().add((row * x.wide + R * block * BLOCK) / 2);
            let mut parts = [[_mm512_setzero_si512(); N]; R];
            for (i, line) in lines.iter().enumerate() {
                if R >= MANY {
                    fetch.step();
                }
                _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).wrapping_byte_add(AHEAD).cast());
                let line = _mm512_load_si512(line.0.as_ptr().cast());
                // The permutation uses the low 5 bits, and the table is there twice.
                let weights = [
                    _mm512_permutexvar_epi16(line, table),
                    _mm512_permutexvar_epi16(_mm512_srli_epi16::<4>(line), table),
                    _mm512_permutexvar_epi16(_mm512_srli_epi16::<8>(line), table),
                    _mm512_permutexvar_epi16(_mm512_srli_epi16::<12>(line), table),
                ];
                for (n, weights) in weights.into_iter().enumerate() {
                    for (r, parts) in parts.iter_mut().enumerate() {
                        add_products(&mut parts[n % N], weights, pairs.add((4 * i + n) * R + r));
                    }
                }
            }
            let scale = _mm512_cvtph_ps(_mm256_loadu_si256(scales.as_ptr().add(block).cast()));
            for (r, (all, parts)) in all.iter_mut().zip(&parts).enumerate() {
                let sum = parts[1..].iter().fold(parts[0], |sum, part| _mm512_add_epi32(sum, *part));
                let factor = *x.scales.get_unchecked((row + r) * blocks + block) * unit;
                *all = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_set1_ps(factor)), *all);
            }
        }
    }
    all
}

/// Adds w · x of pairs of integers to each lane of `sum`, where x is the same pair for all. Written as inline assembly,
/// because the compiler splits the instruction into two where sums follow each other.
///
/// # Safety
/// The machine has AVX512-VNNI, and `pair` can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn add_products(sum: &mut __m512i, w: __m512i, pair: *const [i16; 2]) {
    // SAFETY: promised by the caller.
    unsafe {
        std::arch::asm!(
            "vpdpwssd {sum}, {w}, dword ptr [{pair}]{{1to16}}",
            sum = inout(zmm_reg) *sum,
            w = in(zmm_reg) w,
            pair = in(reg) pair,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
}

/// Writes sums to y (outputs, rows), from row `row` on; gives R.
#[target_feature(enable = "avx512f")]
fn store<const R: usize>(sums: [__m512; R], rows: usize, row: usize, y: &mut [f32]) -> usize {
    let mut out = [[0.0; PANEL]; R];
    for (out, sum) in out.iter_mut().zip(sums) {
        // SAFETY: a register has 16 lanes.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sum) };
    }
    for (o, y) in y.chunks_exact_mut(rows).enumerate() {
        for (y, out) in y[row..row + R].iter_mut().zip(&out) {
            *y = out[o];
        }
    }
    R
}
