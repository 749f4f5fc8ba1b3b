//! Scales of blocks from their 8-bit codes: a table of 256 values, a scale of the scales, an offset.
//!
//! With AVX-512 the table is held as two tables of 16-bit halves, and 32 codes are looked up at a time; elsewhere one
//! by one. The bits are the same.

use super::tables::NESTED_MAP;

/// `out = NESTED_MAP[code] · scale + offset`, rounded after each.
pub(super) fn scales(codes: &[u8], scale: f32, offset: f32, out: &mut [f32]) {
    assert_eq!(codes.len(), out.len(), "a scale for each code");
    #[cfg(target_arch = "x86_64")]
    let done = if crate::nn::cpu::Isa::get() == crate::nn::cpu::Isa::Avx512 {
        // SAFETY: this machine has AVX-512F and BW, asked just now.
        unsafe { x86::scales(codes, scale, offset, out) }
    } else {
        0
    };
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    let map: &[f32; 256] = &NESTED_MAP;
    for (out, &code) in out[done..].iter_mut().zip(&codes[done..]) {
        *out = map[usize::from(code)] * scale + offset;
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::sync::LazyLock;

    use super::NESTED_MAP;

    /// The low and the high halves of the table's values.
    static HALVES: LazyLock<[[u16; 256]; 2]> =
        LazyLock::new(|| [0, 16].map(|shift| NESTED_MAP.map(|value| (value.to_bits() >> shift) as u16)));

    /// Computes groups of 32; gives the number of scales computed.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn scales(codes: &[u8], scale: f32, offset: f32, out: &mut [f32]) -> usize {
        let halves = &*HALVES;
        let (scale, offset) = (_mm512_set1_ps(scale), _mm512_set1_ps(offset));
        // Word i of the low half, then word i of the high one, from the lower and from the upper 16.
        let woven: [[u16; 32]; 2] =
            std::array::from_fn(|part| std::array::from_fn(|i| (16 * part + i / 2 + 32 * (i % 2)) as u16));
        let (codes, out) = (codes.as_chunks::<32>().0, out.as_chunks_mut::<32>().0);
        // SAFETY: all loads and stores lie within arrays of their sizes.
        unsafe {
            let woven = woven.map(|order| _mm512_loadu_si512(order.as_ptr().cast()));
            for (codes, out) in codes.iter().zip(&mut *out) {
                let index = _mm512_cvtepu8_epi16(_mm256_loadu_si256(codes.as_ptr().cast()));
                let odd = _mm512_test_epi16_mask(index, _mm512_set1_epi16(64));
                let upper = _mm512_test_epi16_mask(index, _mm512_set1_epi16(128));
                let [low, high] = [0, 1].map(|half| {
                    let table = |i: usize| _mm512_loadu_si512(halves[half][32 * i..].as_ptr().cast());
                    // The look-up uses 6 bits; the two above choose between four look-ups.
                    let quarter = |i: usize| _mm512_permutex2var_epi16(table(2 * i), index, table(2 * i + 1));
                    let lower_half = _mm512_mask_blend_epi16(odd, quarter(0), quarter(1));
                    let upper_half = _mm512_mask_blend_epi16(odd, quarter(2), quarter(3));
                    _mm512_mask_blend_epi16(upper, lower_half, upper_half)
                });
                for (part, woven) in woven.into_iter().enumerate() {
                    let values = _mm512_castsi512_ps(_mm512_permutex2var_epi16(low, woven, high));
                    let values = _mm512_add_ps(_mm512_mul_ps(values, scale), offset);
                    _mm512_storeu_ps(out[16 * part..].as_mut_ptr(), values);
                }
            }
        }
        32 * codes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_scale_on_every_instruction_set() {
        let codes: Vec<u8> = (0..1000).map(|i| (i * 7 % 256) as u8).collect();
        let mut out = vec![0.0; codes.len()];
        scales(&codes, 0.37, 0.01, &mut out);
        for (out, &code) in out.iter().zip(&codes) {
            assert_eq!(out.to_bits(), (NESTED_MAP[usize::from(code)] * 0.37 + 0.01).to_bits(), "{code}");
        }
    }
}
