//! The AVX-512 kernels: 64 weights at a time, one or two outputs at a time, up to 8 rows.
//!
//! A register holds the table of values; one permutation looks 16 codes up. The rows of x are laid out so that the
//! values for the high nibbles of some bytes come before those for the low ones.

use std::arch::x86_64::*;

use crate::nn::cpu::MANY;
use crate::nn::cpu::{Fetch, Isa, for_each_isa};
use crate::nn::quant::{NF4_MAP, Nf4};

const BLOCK: usize = Nf4::BLOCK;
/// Scales that are made f32 at a time: 4 KiB, and 32 KiB of codes.
const SCALES: usize = 1 << 10;

/// Rows of x, laid out for the kernels.
pub(super) struct GemvRows {
    rows: usize,
    /// 16 values for high nibbles, 16 for low ones, and so on.
    values: Vec<f32>,
}

impl GemvRows {
    /// `None` where the kernels do not apply: without AVX-512, or where blocks cross the ends of rows.
    pub(super) fn new(x: &[f32], rows: usize, wide: usize) -> Option<Self> {
        if !wide.is_multiple_of(BLOCK) || Isa::get() != Isa::Avx512 {
            return None;
        }
        let mut values = vec![0.0; x.len()];
        parted(x, &mut values);
        Some(Self { rows, values })
    }

    /// The outputs from `first` on: y (outputs, rows).
    pub(super) fn outputs(&self, w: &Nf4, first: usize, y: &mut [f32], fetch: &mut Fetch<'_>) {
        let (wide, rows) = (w.shape.1, self.rows);
        let blocks = wide / BLOCK;
        let batch = (SCALES / blocks).max(1);
        let mut scales = vec![0.0; batch * blocks];
        for (i, y) in y.chunks_mut(batch * rows).enumerate() {
            let (o, count) = (first + i * batch, y.len() / rows);
            let scales = &mut scales[..count * blocks];
            w.scales_into(o * blocks, scales);
            self.some(wide, (&w.codes[o * wide / 2..(o + count) * wide / 2], scales), y, fetch);
        }
    }

    /// The outputs for some codes and scales, for all rows.
    fn some(&self, wide: usize, weights: (&[u8], &[f32]), y: &mut [f32], fetch: &mut Fetch<'_>) {
        let mut at = 0;
        while at < self.rows {
            let (x, place) = (&self.values[at * wide..], (at, self.rows));
            // SAFETY: `new` asked for AVX-512; each call takes as many rows as are left at least. Two outputs share what is
            // loaded of x; one alone reads the codes in the order they lie in, which for few rows, when memory is the
            // limit, is faster.
            at += unsafe {
                match self.rows - at {
                    8.. => outputs::<2, 8, 1>(x, wide, weights, y, place, fetch),
                    4.. => outputs::<2, 4, 1>(x, wide, weights, y, place, fetch),
                    2.. => outputs::<1, 2, 2>(x, wide, weights, y, place, fetch),
                    _ => outputs::<1, 1, 4>(x, wide, weights, y, place, fetch),
                }
            };
        }
    }
}

for_each_isa! {
    /// The 16 values of even indices before the 16 of odd ones, part by part.
    fn parted(x: &[f32], out: &mut [f32]) {
        for (x, out) in x.as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            for i in 0..16 {
                out[i] = x[2 * i];
                out[16 + i] = x[2 * i + 1];
            }
        }
    }
}

/// Bytes of codes that are prefetched: the rows of a weight follow each other, but in pairs, which the hardware
/// prefetcher does not follow.
const AHEAD: usize = 4096;

/// Sums that are reduced at a time.
const LANES: usize = 16;

/// All outputs for R rows, into y (outputs, rows) from row `at` on, in groups of 16 sums, O outputs at a time as far as there
/// are that many, else one; gives R.
#[target_feature(enable = "avx512f,avx512bw")]
fn outputs<const O: usize, const R: usize, const N: usize>(
    x: &[f32],
    wide: usize,
    (codes, scales): (&[u8], &[f32]),
    y: &mut [f32],
    (at, rows): (usize, usize),
    fetch: &mut Fetch<'_>,
) -> usize {
    let blocks = wide / BLOCK;
    let count = scales.len() / blocks;
    assert!(x.len() >= R * wide && codes.len() == count * wide / 2 && y.len() == count * rows && at + R <= rows);
    for first in (0..count).step_by(LANES / R) {
        let group = (LANES / R).min(count - first);
        let mut all = [_mm512_setzero_ps(); LANES];
        let mut o = 0;
        while o < group {
            let (codes, scales) = (&codes[(first + o) * wide / 2..], &scales[(first + o) * blocks..]);
            if o + O <= group {
                let some = sums::<O, R, N>(x, wide, codes, scales, fetch);
                some.iter().flatten().zip(&mut all[o * R..]).for_each(|(some, sum)| *sum = *some);
                o += O;
            } else {
                let some = sums::<1, R, N>(x, wide, codes, scales, fetch);
                some.iter().flatten().zip(&mut all[o * R..]).for_each(|(some, sum)| *sum = *some);
                o += 1;
            }
        }
        let mut totals = [0.0; LANES];
        // SAFETY: a register has 16 lanes.
        unsafe { _mm512_storeu_ps(totals.as_mut_ptr(), total(all)) };
        for (y, totals) in y[first * rows..].chunks_exact_mut(rows).zip(totals.chunks_exact(R)).take(group) {
            y[at..at + R].copy_from_slice(totals);
        }
    }
    R
}

/// Sums of 16 lanes each: lane i has the sum of the lanes of `sums[i]`.
#[inline]
#[target_feature(enable = "avx512f")]
fn total(sums: [__m512; LANES]) -> __m512 {
    let a: [__m512; 8] = std::array::from_fn(|i| {
        let (x, y) = (sums[2 * i], sums[2 * i + 1]);
        _mm512_add_ps(_mm512_unpacklo_ps(x, y), _mm512_unpackhi_ps(x, y))
    });
    let b: [__m512; 4] = std::array::from_fn(|i| {
        let (x, y) = (_mm512_castps_pd(a[2 * i]), _mm512_castps_pd(a[2 * i + 1]));
        _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)))
    });
    // Each part of four lanes has sums of four now; the parts are joined.
    let join = |x, y| _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(x, y), _mm512_shuffle_f32x4::<0xdd>(x, y));
    join(join(b[0], b[1]), join(b[2], b[3]))
}

/// The sums of O outputs, whose codes are contiguous, for R rows, each in N parts, since a sum has to wait for the one
/// before it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn sums<const O: usize, const R: usize, const N: usize>(
    x: &[f32],
    wide: usize,
    codes: &[u8],
    scales: &[f32],
    fetch: &mut Fetch<'_>,
) -> [[__m512; R]; O] {
    let blocks = wide / BLOCK;
    assert!(x.len() >= R * wide && scales.len() >= O * blocks && codes.len() >= O * wide / 2);
    let mut sums = [[[_mm512_setzero_ps(); N]; R]; O];
    // SAFETY: the table has 16 values; a block has 32 bytes of codes and 64 values of x, checked above.
    unsafe {
        let values = _mm512_loadu_ps(NF4_MAP.as_ptr());
        for block in 0..blocks {
            if R >= MANY {
                fetch.step();
            }
            let tables: [__m512; O] = std::array::from_fn(|o| {
                _mm512_mul_ps(values, _mm512_set1_ps(*scales.get_unchecked(o * blocks + block)))
            });
            for half in 0..2 {
                let mut weights = [[values; 2]; O];
                for (o, weights) in weights.iter_mut().enumerate() {
                    let bytes = codes.as_ptr().add(o * wide / 2 + 32 * block + 16 * half);
                    if half == 0 && block % 2 == 0 {
                        _mm_prefetch::<_MM_HINT_T0>(bytes.wrapping_add(AHEAD).cast());
                    }
                    let bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.cast()));
                    // The permutation uses the low 4 bits only.
                    weights[0] = _mm512_permutexvar_ps(_mm512_srli_epi32::<4>(bytes), tables[o]);
                    weights[1] = _mm512_permutexvar_ps(bytes, tables[o]);
                }
                for r in 0..R {
                    let x = x.as_ptr().add(r * wide + block * BLOCK + 32 * half);
                    let (high, low) = (_mm512_loadu_ps(x), _mm512_loadu_ps(x.add(16)));
                    for (sums, weights) in sums.iter_mut().zip(&weights) {
                        let (even, odd) = (2 * half % N, (2 * half + 1) % N);
                        sums[r][even] = _mm512_fmadd_ps(weights[0], high, sums[r][even]);
                        sums[r][odd] = _mm512_fmadd_ps(weights[1], low, sums[r][odd]);
                    }
                }
            }
        }
    }
    sums.map(|rows| rows.map(|parts| parts[1..].iter().fold(parts[0], |sum, &part| _mm512_add_ps(sum, part))))
}
