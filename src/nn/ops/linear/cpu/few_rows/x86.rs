//! With AVX-512: 64 weights at a time, one or two outputs at a time, up to 8 rows.
//!
//! A register holds the table of values; one permutation looks 16 codes up in f32, or 32 in bf16. The rows of x are laid
//! out so that what belongs to the high nibbles of some bytes stands before what belongs to the low ones.

mod f16;

use std::arch::x86_64::*;

use half::bf16;

use self::f16::f16_sums;
use crate::nn::Precision;
use crate::nn::ops::cpu::{Fetch, Isa, for_each_isa};
use crate::nn::quant::{NF4_MAP, Nf4};

const BLOCK: usize = Nf4::BLOCK;
/// Scales that are made f32 at a time: 4 KiB, and 32 KiB of codes.
const SCALES: usize = 1 << 10;

/// Rows of x, laid out for the kernels.
pub(super) struct Rows {
    rows: usize,
    values: Values,
}

enum Values {
    /// 16 values under high nibbles, 16 under low ones, and so on.
    F32(Vec<f32>),
    /// 32 and 32.
    Bf16(Vec<u16>),
    /// 32 and 32, and the greatest value of each row, by which the others are divided.
    F16(Vec<u16>, Vec<f32>),
}

impl Rows {
    /// `None` where the kernels do not work: without AVX-512, or where blocks run over the ends of rows.
    pub(super) fn new(x: &[f32], rows: usize, wide: usize, precision: Precision) -> Option<Self> {
        if !wide.is_multiple_of(BLOCK) || Isa::get() != Isa::Avx512 {
            return None;
        }
        let values = match precision {
            Precision::Bf16 if Isa::has_bf16() => {
                let mut out = vec![0; x.len()];
                halves(x, &mut out);
                Values::Bf16(out)
            }
            Precision::F16 if Isa::has_f16() => {
                let (mut out, mut most) = (vec![0; x.len()], vec![0.0; rows]);
                for ((x, out), most) in x.chunks_exact(wide).zip(out.chunks_exact_mut(wide)).zip(&mut most) {
                    // SAFETY: asked for above.
                    *most = unsafe { f16::divided(x, out) };
                }
                Values::F16(out, most)
            }
            _ => {
                let mut out = vec![0.0; x.len()];
                parted(x, &mut out);
                Values::F32(out)
            }
        };
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
            self.some(wide, &w.codes[o * wide / 2..(o + count) * wide / 2], scales, y, fetch);
            if let Values::F16(_, most) = &self.values {
                y.chunks_exact_mut(rows).for_each(|y| y.iter_mut().zip(most).for_each(|(y, most)| *y *= most));
            }
        }
    }

    /// The outputs that `codes` and `scales` belong to, for all rows.
    fn some(&self, wide: usize, codes: &[u8], scales: &[f32], y: &mut [f32], fetch: &mut Fetch<'_>) {
        let mut at = 0;
        while at < self.rows {
            let place = (at, self.rows);
            // SAFETY: `new` asked for AVX-512, and for AVX512-BF16 or FP16 where values are of 16 bits; each call takes as many rows as
            // are left at least. Two or four outputs share what is loaded of x; one alone reads the codes in the order
            // they lie in, which for few rows, when memory is the limit, is faster.
            at += unsafe {
                match (&self.values, self.rows - at) {
                    (Values::F32(x), 8..) => full::<2, 8>(&x[at * wide..], wide, (codes, scales), y, place, fetch),
                    (Values::F32(x), 4..8) => full::<2, 4>(&x[at * wide..], wide, (codes, scales), y, place, fetch),
                    (Values::F32(x), 2..4) => full::<1, 2>(&x[at * wide..], wide, (codes, scales), y, place, fetch),
                    (Values::F32(x), _) => full::<1, 1>(&x[at * wide..], wide, (codes, scales), y, place, fetch),
                    (Values::Bf16(x), 8..) => half::<2, 8>(&x[at * wide..], wide, (codes, scales), y, place, fetch),
                    (Values::Bf16(x), 4..8) => half::<2, 4>(&x[at * wide..], wide, (codes, scales), y, place, fetch),
                    (Values::Bf16(x), 2..4) => half::<1, 2>(&x[at * wide..], wide, (codes, scales), y, place, fetch),
                    (Values::Bf16(x), _) => half::<1, 1>(&x[at * wide..], wide, (codes, scales), y, place, fetch),
                    (Values::F16(x, _), 8..) => f16::<2, 8>(&x[at * wide..], wide, (codes, scales), y, place, fetch),
                    (Values::F16(x, _), 4..8) => f16::<2, 4>(&x[at * wide..], wide, (codes, scales), y, place, fetch),
                    (Values::F16(x, _), 2..4) => f16::<1, 2>(&x[at * wide..], wide, (codes, scales), y, place, fetch),
                    (Values::F16(x, _), _) => f16::<1, 1>(&x[at * wide..], wide, (codes, scales), y, place, fetch),
                }
            };
        }
    }
}

for_each_isa! {
    /// The 16 values of even places before the 16 of odd ones, part by part.
    fn parted(x: &[f32], out: &mut [f32]) {
        for (x, out) in x.as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            for i in 0..16 {
                out[i] = x[2 * i];
                out[16 + i] = x[2 * i + 1];
            }
        }
    }
}

for_each_isa! {
    /// As bf16, to the nearest, 32 of even places before 32 of odd ones, block by block.
    fn halves(x: &[f32], out: &mut [u16]) {
        for (x, out) in x.as_chunks::<BLOCK>().0.iter().zip(out.as_chunks_mut::<BLOCK>().0) {
            for i in 0..32 {
                out[i] = bf16::from_f32(x[2 * i]).to_bits();
                out[32 + i] = bf16::from_f32(x[2 * i + 1]).to_bits();
            }
        }
    }
}

/// Bytes of codes that are fetched ahead: the rows of a weight follow each other, but in pairs, which a processor does not
/// guess.
const AHEAD: usize = 4096;

/// Sums that are brought together at a time.
const LANES: usize = 16;

/// Goes through the outputs of `codes` in groups of 16 sums, `O` outputs at a time as far as there are so many, else one.
/// The sums of O outputs for R rows are what `$kernel` gives.
macro_rules! outputs {
    ($kernel:ident, $features:literal, $x:ty, $name:ident, $doc:literal) => {
        #[doc = $doc]
        #[target_feature(enable = $features)]
        fn $name<const O: usize, const R: usize>(
            x: &[$x],
            wide: usize,
            (codes, scales): (&[u8], &[f32]),
            y: &mut [f32],
            (at, rows): (usize, usize),
            fetch: &mut Fetch<'_>,
        ) -> usize {
            let blocks = wide / BLOCK;
            let count = scales.len() / blocks;
            assert!(
                x.len() >= R * wide && codes.len() == count * wide / 2 && y.len() == count * rows && at + R <= rows
            );
            for first in (0..count).step_by(LANES / R) {
                let group = (LANES / R).min(count - first);
                let mut sums = [_mm512_setzero_ps(); LANES];
                let mut o = 0;
                while o < group {
                    let (codes, scales) = (&codes[(first + o) * wide / 2..], &scales[(first + o) * blocks..]);
                    if o + O <= group {
                        let some = $kernel::<O, R>(x, wide, codes, scales, fetch);
                        some.iter().flatten().zip(&mut sums[o * R..]).for_each(|(some, sum)| *sum = *some);
                        o += O;
                    } else {
                        let some = $kernel::<1, R>(x, wide, codes, scales, fetch);
                        some.iter().flatten().zip(&mut sums[o * R..]).for_each(|(some, sum)| *sum = *some);
                        o += 1;
                    }
                }
                let mut totals = [0.0; LANES];
                // SAFETY: a register has 16 lanes.
                unsafe { _mm512_storeu_ps(totals.as_mut_ptr(), total(sums)) };
                for (y, totals) in y[first * rows..].chunks_exact_mut(rows).zip(totals.chunks_exact(R)).take(group) {
                    y[at..at + R].copy_from_slice(totals);
                }
            }
            R
        }
    };
}

outputs!(
    full_sums,
    "avx512f,avx512bw",
    f32,
    full,
    "All outputs for R rows in f32, into y (outputs, rows) from row `at` on; gives R."
);
outputs!(half_sums, "avx512f,avx512bw,avx512bf16", u16, half, "As [`full`], both factors rounded to bf16.");
outputs!(f16_sums, "avx512f,avx512bw,avx512fp16", u16, f16, "As [`full`], of rows that were divided, to f16.");

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
    // Now each part of four lanes has sums of four; the parts come together.
    let join = |x, y| _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(x, y), _mm512_shuffle_f32x4::<0xdd>(x, y));
    join(join(b[0], b[1]), join(b[2], b[3]))
}

/// The sums of O outputs, whose codes follow each other, for R rows, in f32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn full_sums<const O: usize, const R: usize>(
    x: &[f32],
    wide: usize,
    codes: &[u8],
    scales: &[f32],
    fetch: &mut Fetch<'_>,
) -> [[__m512; R]; O] {
    let blocks = wide / BLOCK;
    assert!(x.len() >= R * wide && scales.len() >= O * blocks && codes.len() >= O * wide / 2);
    let mut sums = [[_mm512_setzero_ps(); R]; O];
    // SAFETY: the table has 16 values; a block has 32 bytes of codes and 64 values of x, checked above.
    unsafe {
        let values = _mm512_loadu_ps(NF4_MAP.as_ptr());
        for block in 0..blocks {
            if R >= 4 {
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
                    // The permutation looks at the low 4 bits only.
                    weights[0] = _mm512_permutexvar_ps(_mm512_srli_epi32::<4>(bytes), tables[o]);
                    weights[1] = _mm512_permutexvar_ps(bytes, tables[o]);
                }
                for r in 0..R {
                    let x = x.as_ptr().add(r * wide + block * BLOCK + 32 * half);
                    let (high, low) = (_mm512_loadu_ps(x), _mm512_loadu_ps(x.add(16)));
                    for (sums, weights) in sums.iter_mut().zip(&weights) {
                        sums[r] = _mm512_fmadd_ps(weights[0], high, sums[r]);
                        sums[r] = _mm512_fmadd_ps(weights[1], low, sums[r]);
                    }
                }
            }
        }
    }
    sums
}

/// As [`full_sums`], both factors rounded to bf16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn half_sums<const O: usize, const R: usize>(
    x: &[u16],
    wide: usize,
    codes: &[u8],
    scales: &[f32],
    fetch: &mut Fetch<'_>,
) -> [[__m512; R]; O] {
    let blocks = wide / BLOCK;
    assert!(x.len() >= R * wide && scales.len() >= O * blocks && codes.len() >= O * wide / 2);
    let mut sums = [[_mm512_setzero_ps(); R]; O];
    // SAFETY: the table has 16 values; a block has 32 bytes of codes and 64 values of x, checked above; registers of one
    // size are the same bits.
    unsafe {
        let twice = |values: __m512| {
            let values = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(values));
            _mm512_broadcast_i64x4(values)
        };
        let bits = |x: __m512i| std::mem::transmute::<__m512i, __m512bh>(x);
        let values = _mm512_loadu_ps(NF4_MAP.as_ptr());
        let plain = twice(values);
        for block in 0..blocks {
            if R >= 4 {
                fetch.step();
            }
            let mut weights = [[plain; 2]; O];
            let mut factors = [values; O];
            for (o, weights) in weights.iter_mut().enumerate() {
                factors[o] = _mm512_set1_ps(*scales.get_unchecked(o * blocks + block));
                // For many rows it is cheaper to scale the table than the sums.
                let table = if R > 2 { twice(_mm512_mul_ps(values, factors[o])) } else { plain };
                let bytes = codes.as_ptr().add(o * wide / 2 + 32 * block);
                if block % 2 == 0 {
                    _mm_prefetch::<_MM_HINT_T0>(bytes.wrapping_add(AHEAD).cast());
                }
                let bytes = _mm512_cvtepu8_epi16(_mm256_loadu_si256(bytes.cast()));
                // The permutation looks at the low 5 bits, and the table is there twice.
                weights[0] = _mm512_permutexvar_epi16(_mm512_srli_epi16::<4>(bytes), table);
                weights[1] = _mm512_permutexvar_epi16(bytes, table);
            }
            for r in 0..R {
                let x = x.as_ptr().add(r * wide + block * BLOCK);
                let (high, low) = (_mm512_loadu_si512(x.cast()), _mm512_loadu_si512(x.add(32).cast()));
                for (o, sums) in sums.iter_mut().enumerate() {
                    let start = if R > 2 { sums[r] } else { _mm512_setzero_ps() };
                    let sum = _mm512_dpbf16_ps(start, bits(weights[o][0]), bits(high));
                    let sum = _mm512_dpbf16_ps(sum, bits(weights[o][1]), bits(low));
                    sums[r] = if R > 2 { sum } else { _mm512_fmadd_ps(sum, factors[o], sums[r]) };
                }
            }
        }
    }
    sums
}
