//! Dequantising on the CPU: whole blocks with the table in vector registers (AVX-512: one permutation looks 16 codes
//! up; AVX2: two and a blend), or one by one. All give the same bits: one multiplication a value.

use super::nf4::Nf4;
use super::tables::NF4_MAP;
#[cfg(target_arch = "x86_64")]
use crate::nn::cpu::Isa;

const BLOCK: usize = Nf4::BLOCK;

/// Writes the values from index `at` on to `out`, on the calling thread.
pub(super) fn dequantize(q: &Nf4, at: usize, out: &mut [f32]) {
    let head = (at.next_multiple_of(BLOCK) - at).min(out.len());
    let (head, rest) = out.split_at_mut(head);
    one_by_one(q, at, head);
    let at = at + head.len();
    let (blocks, tail) = rest.as_chunks_mut::<BLOCK>();
    let tail_at = at + blocks.len() * BLOCK;
    whole_blocks(q, at / BLOCK, blocks);
    one_by_one(q, tail_at, tail);
}

fn one_by_one(q: &Nf4, at: usize, out: &mut [f32]) {
    let mut known = None;
    for (i, out) in (at..).zip(out) {
        let scale = match known {
            Some((block, scale)) if block == i / BLOCK => scale,
            _ => q.scale(i / BLOCK),
        };
        known = Some((i / BLOCK, scale));
        let byte = q.codes[i / 2];
        *out = NF4_MAP[usize::from(if i % 2 == 0 { byte >> 4 } else { byte & 15 })] * scale;
    }
}

fn whole_blocks(q: &Nf4, first: usize, out: &mut [[f32; BLOCK]]) {
    let codes = &q.codes.as_chunks::<{ BLOCK / 2 }>().0[first..first + out.len()];
    #[cfg(target_arch = "x86_64")]
    {
        if Isa::get() == Isa::Avx512 {
            for (i, (codes, out)) in codes.iter().zip(out).enumerate() {
                // SAFETY: this machine has AVX-512F, asked just now.
                unsafe { x86::avx512(codes, q.scale(first + i), out) };
            }
            return;
        }
        if Isa::get() == Isa::Avx2 {
            for (i, (codes, out)) in codes.iter().zip(out).enumerate() {
                // SAFETY: this machine has AVX2, asked just now.
                unsafe { x86::avx2(codes, q.scale(first + i), out) };
            }
            return;
        }
    }
    for (i, (codes, out)) in codes.iter().zip(out).enumerate() {
        portable(codes, q.scale(first + i), out);
    }
}

fn portable(codes: &[u8; BLOCK / 2], scale: f32, out: &mut [f32; BLOCK]) {
    let table = NF4_MAP.map(|value| value * scale);
    for (byte, pair) in codes.iter().zip(out.as_chunks_mut::<2>().0) {
        *pair = [table[usize::from(byte >> 4)], table[usize::from(byte & 15)]];
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BLOCK, NF4_MAP};

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(codes: &[u8; BLOCK / 2], scale: f32, out: &mut [f32; BLOCK]) {
        // SAFETY: the table has 16 values, each half of the codes 16 bytes, each fourth of the output 16 values.
        unsafe {
            let table = _mm512_mul_ps(_mm512_loadu_ps(NF4_MAP.as_ptr()), _mm512_set1_ps(scale));
            // Even places take from the high nibbles, odd places from the low ones.
            let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
            for half in 0..2 {
                let bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(codes.as_ptr().add(16 * half).cast()));
                let high = _mm512_permutexvar_ps(_mm512_srli_epi32::<4>(bytes), table);
                let low = _mm512_permutexvar_ps(bytes, table); // looks at the low 4 bits only
                let out = out.as_mut_ptr().add(32 * half);
                _mm512_storeu_ps(out, _mm512_permutex2var_ps(high, first, low));
                _mm512_storeu_ps(out.add(16), _mm512_permutex2var_ps(high, second, low));
            }
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(codes: &[u8; BLOCK / 2], scale: f32, out: &mut [f32; BLOCK]) {
        // SAFETY: each half of the table has 8 values, each fourth of the codes 8 bytes, each eighth of the output 8.
        unsafe {
            let scale = _mm256_set1_ps(scale);
            let below = _mm256_mul_ps(_mm256_loadu_ps(NF4_MAP.as_ptr()), scale);
            let above = _mm256_mul_ps(_mm256_loadu_ps(NF4_MAP.as_ptr().add(8)), scale);
            let look_up = |code: __m256i| {
                let (a, b) = (_mm256_permutevar8x32_ps(below, code), _mm256_permutevar8x32_ps(above, code));
                // Bit 3 of the code becomes the sign that the blend asks for.
                _mm256_blendv_ps(a, b, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(code)))
            };
            for part in 0..4 {
                let bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(codes.as_ptr().add(8 * part).cast()));
                let (high, low) = (look_up(_mm256_srli_epi32::<4>(bytes)), look_up(bytes));
                let (a, b) = (_mm256_unpacklo_ps(high, low), _mm256_unpackhi_ps(high, low));
                let out = out.as_mut_ptr().add(16 * part);
                _mm256_storeu_ps(out, _mm256_permute2f128_ps::<0x20>(a, b));
                _mm256_storeu_ps(out.add(8), _mm256_permute2f128_ps::<0x31>(a, b));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let codes: [u8; BLOCK / 2] = std::array::from_fn(|i| (i * 73 + 41) as u8);
        let scale = 0.123_456;
        let (mut slow, mut fast) = ([0.0; BLOCK], [0.0; BLOCK]);
        portable(&codes, scale, &mut slow);
        for (i, x) in slow.iter().enumerate() {
            let code = if i % 2 == 0 { codes[i / 2] >> 4 } else { codes[i / 2] & 15 };
            assert_eq!(*x, NF4_MAP[usize::from(code)] * scale);
        }
        #[cfg(target_arch = "x86_64")]
        {
            if std::is_x86_feature_detected!("avx512f") {
                // SAFETY: asked just now.
                unsafe { x86::avx512(&codes, scale, &mut fast) };
                assert_eq!(fast, slow);
            } else {
                crate::nn::cpu::skip("avx512f");
            }
            if std::is_x86_feature_detected!("avx2") {
                fast = [0.0; BLOCK];
                // SAFETY: asked just now.
                unsafe { x86::avx2(&codes, scale, &mut fast) };
                assert_eq!(fast, slow);
            } else {
                crate::nn::cpu::skip("avx2");
            }
        }
        let _ = &mut fast;
    }
}
