//! Sums in f16 with AVX512-FP16, which multiplies and adds 32 values at once: for 16 blocks, then they join sums in f32.
//!
//! Rows are divided by their greatest value, scales by the greatest of an output, so that nothing leaves the range of f16.

use std::arch::x86_64::*;

use super::BLOCK;
use crate::nn::ops::cpu::Fetch;
use crate::nn::quant::NF4_MAP;

/// Blocks that are summed in f16.
const TOGETHER: usize = 16;
/// Rounding to the nearest.
const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

/// A row divided by its greatest value as f16, 32 of even places before 32 of odd ones, block by block; gives the greatest.
#[target_feature(enable = "avx512f")]
pub(super) fn divided(x: &[f32], out: &mut [u16]) -> f32 {
    let parts = x.as_chunks::<16>().0;
    // SAFETY: a part has 16 values.
    let part = |i: usize| unsafe { _mm512_loadu_ps(parts[i].as_ptr()) };
    let most = (0..parts.len()).fold(_mm512_setzero_ps(), |most, i| _mm512_max_ps(most, _mm512_abs_ps(part(i))));
    let most = _mm512_reduce_max_ps(most);
    let over = 1.0 / most;
    let over = _mm512_set1_ps(if over.is_finite() { over } else { 0.0 });
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    for (block, out) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        for half in 0..2 {
            let (a, b) = (part(4 * block + 2 * half), part(4 * block + 2 * half + 1));
            for (places, at) in [(even, 16 * half), (odd, 32 + 16 * half)] {
                let picked = _mm512_mul_ps(_mm512_permutex2var_ps(a, places, b), over);
                // SAFETY: a block has 64 values, of which these are 16.
                unsafe { _mm256_storeu_si256(out.as_mut_ptr().add(at).cast(), _mm512_cvtps_ph::<NEAREST>(picked)) };
            }
        }
    }
    most
}

/// The sums of O outputs, whose codes follow each other, for R rows that were [`divided`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512fp16")]
pub(super) fn f16_sums<const O: usize, const R: usize>(
    x: &[u16],
    wide: usize,
    codes: &[u8],
    scales: &[f32],
    fetch: &mut Fetch<'_>,
) -> [[__m512; R]; O] {
    let blocks = wide / BLOCK;
    assert!(x.len() >= R * wide && scales.len() >= O * blocks && codes.len() >= O * wide / 2);
    let tops: [f32; O] = std::array::from_fn(|o| {
        scales[o * blocks..(o + 1) * blocks].iter().fold(f32::MIN_POSITIVE, |most, scale| most.max(scale.abs()))
    });
    let mut sums = [[_mm512_setzero_ps(); R]; O];
    // SAFETY: the table has 16 values; a block has 32 bytes of codes and 64 values of x, checked above.
    unsafe {
        let values: [__m512; O] = tops.map(|top| _mm512_div_ps(_mm512_loadu_ps(NF4_MAP.as_ptr()), _mm512_set1_ps(top)));
        for first in (0..blocks).step_by(TOGETHER) {
            let mut halves = [[_mm512_setzero_ph(); R]; O];
            for block in first..blocks.min(first + TOGETHER) {
                if R >= 4 {
                    fetch.step();
                }
                let mut weights = [[_mm512_setzero_ph(); 2]; O];
                for (o, weights) in weights.iter_mut().enumerate() {
                    let scale = _mm512_set1_ps(*scales.get_unchecked(o * blocks + block));
                    let table = _mm512_broadcast_i64x4(_mm512_cvtps_ph::<NEAREST>(_mm512_mul_ps(values[o], scale)));
                    let bytes = codes.as_ptr().add(o * wide / 2 + 32 * block);
                    if block % 2 == 0 {
                        _mm_prefetch::<_MM_HINT_T0>(bytes.wrapping_add(super::AHEAD).cast());
                    }
                    let bytes = _mm512_cvtepu8_epi16(_mm256_loadu_si256(bytes.cast()));
                    // The permutation looks at the low 5 bits, and the table is there twice.
                    let high = _mm512_permutexvar_epi16(_mm512_srli_epi16::<4>(bytes), table);
                    let low = _mm512_permutexvar_epi16(bytes, table);
                    *weights = [_mm512_castsi512_ph(high), _mm512_castsi512_ph(low)];
                }
                for r in 0..R {
                    let x = x.as_ptr().add(r * wide + block * BLOCK);
                    let high = _mm512_castsi512_ph(_mm512_loadu_si512(x.cast()));
                    let low = _mm512_castsi512_ph(_mm512_loadu_si512(x.add(32).cast()));
                    for (halves, weights) in halves.iter_mut().zip(&weights) {
                        halves[r] = _mm512_fmadd_ph(weights[0], high, halves[r]);
                        halves[r] = _mm512_fmadd_ph(weights[1], low, halves[r]);
                    }
                }
            }
            for ((sums, halves), top) in sums.iter_mut().zip(halves).zip(tops) {
                for (sum, half) in sums.iter_mut().zip(halves) {
                    let bits = _mm512_castph_si512(half);
                    let low = _mm512_cvtph_ps(_mm512_castsi512_si256(bits));
                    let high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64::<1>(bits));
                    *sum = _mm512_fmadd_ps(_mm512_add_ps(low, high), _mm512_set1_ps(top), *sum);
                }
            }
        }
    }
    sums
}
