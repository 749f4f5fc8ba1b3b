//! Codes and scales of blocks of weights.
//!
//! The code of a value is the number of thresholds below it. With AVX-512, [-1, 1] is cut into 32 bins with at most one
//! threshold in each: a look-up of the bin gives the number of thresholds below it and the one to compare with.
//! Elsewhere the value is compared with all 15. The codes are the same.

use std::sync::LazyLock;

use super::nf4::Nf4;
use super::tables::{NF4_MAP, midpoints};
use crate::nn::cpu::for_each_isa;

const BLOCK: usize = Nf4::BLOCK;
/// The least divisor, as in bitsandbytes.
const SMALLEST: f32 = 1e-38;

/// The midpoints between neighbours of the map.
pub(super) static THRESHOLDS: LazyLock<[f32; 15]> = LazyLock::new(|| midpoints(&NF4_MAP));

/// Quantises weights to codes, two a byte, and scales; the last block may be short.
pub(super) fn quantize_blocks(weights: &[f32], codes: &mut [u8], scales: &mut [f32]) {
    let (whole, rest) = weights.as_chunks::<BLOCK>();
    let (codes, last_codes) = codes.split_at_mut(whole.len() * BLOCK / 2);
    let (scales, last_scale) = scales.split_at_mut(whole.len());
    #[cfg(target_arch = "x86_64")]
    if crate::nn::cpu::Isa::get() == crate::nn::cpu::Isa::Avx512 {
        // SAFETY: this machine has AVX-512F and BW, asked just now.
        unsafe { x86::whole_blocks(whole, codes.as_chunks_mut().0, scales) };
    } else {
        whole_blocks(whole, codes, scales, &THRESHOLDS);
    }
    #[cfg(not(target_arch = "x86_64"))]
    whole_blocks(whole, codes, scales, &THRESHOLDS);
    if let [scale] = last_scale {
        // bitsandbytes treats a short block differently, and these are its bits. The padding is 0.
        let mut x = [0.0; BLOCK];
        x[..rest.len()].copy_from_slice(rest);
        *scale = largest(&x).max(SMALLEST);
        x.iter_mut().for_each(|x| *x /= *scale);
        let mut all = [0; BLOCK / 2];
        pack(&x, &THRESHOLDS, &mut all);
        last_codes.copy_from_slice(&all[..last_codes.len()]);
    }
}

for_each_isa! {
    fn whole_blocks(weights: &[[f32; BLOCK]], codes: &mut [u8], scales: &mut [f32], thresholds: &[f32; 15]) {
        for ((block, codes), scale) in weights.iter().zip(codes.as_chunks_mut().0).zip(scales) {
            *scale = largest(block);
            let inverse = 1.0 / scale.max(SMALLEST);
            pack(&block.map(|x| x * inverse), thresholds, codes);
        }
    }
}

/// The greatest magnitude, ignoring NaN.
#[inline(always)]
fn largest(x: &[f32; BLOCK]) -> f32 {
    x.iter().fold(0.0f32, |a, x| if x.abs() > a { x.abs() } else { a })
}

/// The codes of values in [-1, 1]; values beyond get the codes of ±1 without clamping.
#[inline(always)]
fn pack(x: &[f32; BLOCK], thresholds: &[f32; 15], codes: &mut [u8; BLOCK / 2]) {
    let mut code = [0i32; BLOCK];
    for threshold in thresholds {
        for i in 0..BLOCK {
            code[i] += i32::from(x[i] > *threshold);
        }
    }
    for (byte, pair) in codes.iter_mut().zip(code.as_chunks::<2>().0) {
        *byte = (pair[0] << 4 | pair[1]) as u8;
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::sync::LazyLock;

    use super::{BLOCK, SMALLEST, THRESHOLDS};

    const BINS: usize = 32;
    /// Half of the bins.
    const HALF: f32 = BINS as f32 / 2.0;
    /// Bins for each unit: a little fewer than would fit, so that 1 with its rounding error is in the last one.
    const SCALE: f32 = HALF - 1e-3;

    /// For each bin its threshold (∞ if there is none), and the number of thresholds below it.
    static BIN: LazyLock<([f32; BINS], [i32; BINS])> = LazyLock::new(|| {
        let mut bins = ([f32::INFINITY; BINS], [0; BINS]);
        for &threshold in THRESHOLDS.iter() {
            let bin = threshold.mul_add(SCALE, HALF) as usize;
            bins.0[bin] = threshold;
            bins.1[bin + 1..].iter_mut().for_each(|below| *below += 1);
        }
        bins
    });

    /// As the portable function of this name.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn whole_blocks(weights: &[[f32; BLOCK]], codes: &mut [[u8; BLOCK / 2]], scales: &mut [f32]) {
        let (thresholds, below) = &*BIN;
        // SAFETY: all loads and stores lie within arrays of their sizes.
        unsafe {
            let thresholds = [0, 16].map(|at| _mm512_loadu_ps(thresholds[at..].as_ptr()));
            let below = [0, 16].map(|at| _mm512_loadu_si512(below[at..].as_ptr().cast()));
            for ((block, codes), scale) in weights.iter().zip(codes).zip(scales) {
                let x: [__m512; 4] = std::array::from_fn(|i| _mm512_loadu_ps(block[16 * i..].as_ptr()));
                // With a NaN as the first operand the result is the second.
                let most = x.iter().fold(_mm512_setzero_ps(), |most, x| _mm512_max_ps(_mm512_abs_ps(*x), most));
                *scale = _mm512_reduce_max_ps(most);
                let inverse = _mm512_set1_ps(1.0 / scale.max(SMALLEST));
                let mut bytes = [0u8; BLOCK];
                for (x, bytes) in x.into_iter().zip(bytes.as_chunks_mut::<16>().0) {
                    let x = _mm512_mul_ps(x, inverse);
                    let bin = _mm512_fmadd_ps(x, _mm512_set1_ps(SCALE), _mm512_set1_ps(HALF));
                    // A NaN becomes the least integer, whose low 5 bits, which the look-ups use, are 0.
                    let bin = _mm512_cvttps_epi32(bin);
                    let threshold = _mm512_permutex2var_ps(thresholds[0], bin, thresholds[1]);
                    let code = _mm512_permutex2var_epi32(below[0], bin, below[1]);
                    let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, threshold);
                    let code = _mm512_mask_add_epi32(code, above, code, _mm512_set1_epi32(1));
                    _mm_storeu_si128(bytes.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(code));
                }
                // A word has the first code in its low byte and the second in its high one.
                let words = _mm512_loadu_si512(bytes.as_ptr().cast());
                let pairs = _mm512_or_si512(_mm512_slli_epi16::<4>(words), _mm512_srli_epi16::<8>(words));
                _mm256_storeu_si256(codes.as_mut_ptr().cast(), _mm512_cvtepi16_epi8(pairs));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_gives_the_same_codes_at_and_around_every_threshold() {
        let mut weights = vec![1.0, -1.0, 0.0, -0.0, f32::NAN, 1e-40, f32::MIN_POSITIVE];
        for &threshold in THRESHOLDS.iter().chain(&NF4_MAP) {
            weights.extend([threshold, threshold.next_up(), threshold.next_down()]);
        }
        weights.extend((0..50_000).map(|i| (i as f32 * 0.618).sin() * (1.0 + (i / 640) as f32)));
        for i in 0..640 {
            weights.push(i as f32 / 320.0 - 1.0);
        }
        weights.resize(weights.len().next_multiple_of(BLOCK) + 13, 1.0);
        // Blocks with a scale of 1, so that the values themselves are compared.
        for block in weights[..BLOCK * 2].as_chunks_mut::<BLOCK>().0 {
            block[BLOCK - 1] = 1.0;
        }
        let (bytes, blocks) = (weights.len().div_ceil(2), weights.len().div_ceil(BLOCK));
        let (mut codes, mut scales) = (vec![0; bytes], vec![0.0; blocks]);
        quantize_blocks(&weights, &mut codes, &mut scales);
        for (b, block) in weights.chunks(BLOCK).enumerate() {
            let most = block.iter().fold(0.0f32, |a, x| a.max(x.abs()));
            assert_eq!(scales[b], most.max(if block.len() < BLOCK { SMALLEST } else { 0.0 }));
            for (i, x) in block.iter().enumerate() {
                let x = if block.len() < BLOCK { x / scales[b] } else { x * (1.0 / most.max(SMALLEST)) };
                let wanted = THRESHOLDS.iter().filter(|&&threshold| x > threshold).count() as u8;
                let byte = codes[(b * BLOCK + i) / 2];
                assert_eq!(if i % 2 == 0 { byte >> 4 } else { byte & 15 }, wanted, "{x} in block {b}");
            }
        }
    }
}
