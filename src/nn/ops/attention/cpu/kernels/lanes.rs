//! Sixteen f32 as one SIMD value: one AVX-512 register, two of AVX2, or an array.
//!
//! The operations have the same order for every width, so that AVX-512 and AVX2 give the same bits; the portable ones
//! round a product before they add to it.

use half::bf16;

/// Sixteen f32.
pub(in super::super) trait Lanes: Copy {
    /// Rows and registers a row of the tile of a product that fits the registers.
    const TILE: (usize, usize);

    /// # Safety
    /// The processor must have the instructions, and 16 values must lie at `from`. What holds lanes proves the first,
    /// so that only what makes them is unsafe.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// As `load`.
    unsafe fn load_bf16(from: *const bf16) -> Self;

    /// # Safety
    /// As `load`.
    unsafe fn load_i8(from: *const i8) -> Self;

    /// # Safety
    /// The processor must have the instructions.
    unsafe fn splat(x: f32) -> Self;

    /// # Safety
    /// 16 values must have room at `to`.
    unsafe fn store(self, to: *mut f32);

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;

    /// `self · a + b`
    fn mul_add(self, a: Self, b: Self) -> Self;

    /// The larger one; `other` where one of them is NaN.
    fn max(self, other: Self) -> Self;

    /// −∞ in the first `n` lanes.
    fn hide(self, n: usize) -> Self;

    /// (nearest integer, 2 to that power) for numbers of −127..127; 2⁻¹²⁷ counts as 0.
    fn power(self) -> (Self, Self);

    /// Lane i is the sum of the lanes of `all[i]`.
    fn sums(all: [Self; 16]) -> Self;

    /// 2ˣ within 2 ulp for x < 127; below −126.5 it is 0, NaN stays NaN. The polynomial is minimax in relative error on
    /// [−½, ½] with 2⁰ = 1 (Remez, 2·10⁻⁹).
    #[inline(always)]
    fn exp2(self) -> Self {
        const P: [f32; 7] =
            [1.534_581_2e-4, 1.339_993_2e-3, 9.618_489e-3, 5.550_329e-2, 2.402_264_7e-1, 6.931_472e-1, 1.0];
        // SAFETY: `self` proves the instructions.
        let splat = |x| unsafe { Self::splat(x) };
        let x = splat(-127.0).max(self);
        let (whole, power) = x.power();
        let r = x.sub(whole);
        let mut p = splat(P[0]);
        for c in &P[1..] {
            p = p.mul_add(r, splat(*c));
        }
        p.mul(power)
    }
}

/// The array.
#[derive(Clone, Copy)]
pub(super) struct Array([f32; 16]);

/// Adding it to a number of ±2²² leaves the nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;

impl Array {
    #[inline(always)]
    fn with(self, other: Self, op: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| op(self.0[i], other.0[i])))
    }
}

impl Lanes for Array {
    const TILE: (usize, usize) = (2, 1);

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: promised by the caller.
        Self(unsafe { from.cast::<[f32; 16]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> Self {
        // SAFETY: promised by the caller.
        Self(unsafe { from.cast::<[u16; 16]>().read_unaligned() }.map(|x| f32::from_bits(u32::from(x) << 16)))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: promised by the caller.
        Self(unsafe { from.cast::<[i8; 16]>().read_unaligned() }.map(f32::from))
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 16])
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe { to.cast::<[f32; 16]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.with(other, |a, b| a * b)
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * a.0[i] + b.0[i]))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.with(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn hide(self, n: usize) -> Self {
        Self(std::array::from_fn(|i| if i < n { f32::NEG_INFINITY } else { self.0[i] }))
    }

    #[inline(always)]
    fn sums(all: [Self; 16]) -> Self {
        Self(all.map(|x| {
            let half: [f32; 8] = std::array::from_fn(|i| x.0[i] + x.0[i + 8]);
            let half: [f32; 4] = std::array::from_fn(|i| half[i] + half[i + 4]);
            (half[0] + half[2]) + (half[1] + half[3])
        }))
    }

    #[inline(always)]
    fn power(self) -> (Self, Self) {
        let shifted = self.0.map(|x| x + ROUND);
        let power = shifted.map(|x| f32::from_bits((x.to_bits() << 23).wrapping_add(0x3f80_0000)));
        (Self(shifted.map(|x| x - ROUND)), Self(power))
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Pair, Register};

// SAFETY of every block below that names no other reason: a value of the type exists only where the processor has the
// instructions, and memory is promised by the caller.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::undocumented_unsafe_blocks)] // the reason is above, once for all
mod x86 {
    use std::arch::x86_64::*;

    use super::{Lanes, ROUND, bf16};

    /// One AVX-512 register.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Register(__m512);

    impl Lanes for Register {
        const TILE: (usize, usize) = (6, 4);

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(unsafe { _mm512_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn load_bf16(from: *const bf16) -> Self {
            unsafe {
                let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
                Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide)))
            }
        }

        #[inline(always)]
        unsafe fn load_i8(from: *const i8) -> Self {
            Self(unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) })
        }

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            Self(unsafe { _mm512_set1_ps(x) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(unsafe { _mm512_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(unsafe { _mm512_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn mul_add(self, a: Self, b: Self) -> Self {
            Self(unsafe { _mm512_fmadd_ps(self.0, a.0, b.0) })
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(unsafe { _mm512_max_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn hide(self, n: usize) -> Self {
            let hidden = ((1u32 << n.min(16)) - 1) as __mmask16;
            Self(unsafe { _mm512_mask_mov_ps(self.0, hidden, _mm512_set1_ps(f32::NEG_INFINITY)) })
        }

        #[inline(always)]
        fn sums(all: [Self; 16]) -> Self {
            // Each step halves the registers: lanes of two are added next to each other.
            unsafe {
                let two = |a: __m512, b: __m512| _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let eight: [_; 8] = std::array::from_fn(|i| two(all[2 * i].0, all[2 * i + 1].0));
                let four: [_; 4] = std::array::from_fn(|i| {
                    let (a, b) = (_mm512_castps_pd(eight[2 * i]), _mm512_castps_pd(eight[2 * i + 1]));
                    let (low, high) = (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
                    _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high))
                });
                let pair = |a, b| {
                    let even = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
                    _mm512_add_ps(even, _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b))
                };
                Self(pair(pair(four[0], four[1]), pair(four[2], four[3])))
            }
        }

        #[inline(always)]
        fn power(self) -> (Self, Self) {
            unsafe {
                let round = _mm512_set1_ps(ROUND);
                let shifted = _mm512_add_ps(self.0, round);
                let bits = _mm512_slli_epi32::<23>(_mm512_castps_si512(shifted));
                let power = _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(0x3f80_0000)));
                (Self(_mm512_sub_ps(shifted, round)), Self(power))
            }
        }
    }

    /// Two AVX2 registers.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Pair([__m256; 2]);

    impl Pair {
        #[inline(always)]
        fn with(self, other: Self, op: impl Fn(__m256, __m256) -> __m256) -> Self {
            Self([op(self.0[0], other.0[0]), op(self.0[1], other.0[1])])
        }
    }

    impl Lanes for Pair {
        const TILE: (usize, usize) = (6, 1);

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] })
        }

        #[inline(always)]
        unsafe fn load_bf16(from: *const bf16) -> Self {
            let half = |from: *const bf16| unsafe {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
            };
            Self([half(from), half(from.wrapping_add(8))])
        }

        #[inline(always)]
        unsafe fn load_i8(from: *const i8) -> Self {
            let half =
                |from: *const i8| unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) };
            Self([half(from), half(from.wrapping_add(8))])
        }

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            Self([unsafe { _mm256_set1_ps(x) }; 2])
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                _mm256_storeu_ps(to, self.0[0]);
                _mm256_storeu_ps(to.add(8), self.0[1]);
            }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            self.with(other, |a, b| unsafe { _mm256_add_ps(a, b) })
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            self.with(other, |a, b| unsafe { _mm256_sub_ps(a, b) })
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            self.with(other, |a, b| unsafe { _mm256_mul_ps(a, b) })
        }

        #[inline(always)]
        fn mul_add(self, a: Self, b: Self) -> Self {
            unsafe { Self([_mm256_fmadd_ps(self.0[0], a.0[0], b.0[0]), _mm256_fmadd_ps(self.0[1], a.0[1], b.0[1])]) }
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            self.with(other, |a, b| unsafe { _mm256_max_ps(a, b) })
        }

        #[inline(always)]
        fn hide(self, n: usize) -> Self {
            unsafe {
                let n = _mm256_set1_epi32(n.min(16) as i32);
                let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
                let half = |x, lanes| {
                    let hidden = _mm256_castsi256_ps(_mm256_cmpgt_epi32(n, lanes));
                    _mm256_blendv_ps(x, _mm256_set1_ps(f32::NEG_INFINITY), hidden)
                };
                let upper = _mm256_add_epi32(lanes, _mm256_set1_epi32(8));
                Self([half(self.0[0], lanes), half(self.0[1], upper)])
            }
        }

        #[inline(always)]
        fn sums(all: [Self; 16]) -> Self {
            unsafe {
                let eight = |first: usize| {
                    let half = |i: usize| _mm256_add_ps(all[first + i].0[0], all[first + i].0[1]);
                    let four: [_; 4] = std::array::from_fn(|i| _mm256_hadd_ps(half(2 * i), half(2 * i + 1)));
                    let (a, b) = (_mm256_hadd_ps(four[0], four[1]), _mm256_hadd_ps(four[2], four[3]));
                    let low = _mm256_permute2f128_ps::<0x20>(a, b);
                    _mm256_add_ps(low, _mm256_permute2f128_ps::<0x31>(a, b))
                };
                Self([eight(0), eight(8)])
            }
        }

        #[inline(always)]
        fn power(self) -> (Self, Self) {
            unsafe {
                let round = _mm256_set1_ps(ROUND);
                let shifted = self.0.map(|x| _mm256_add_ps(x, round));
                let power = shifted.map(|x| {
                    let bits = _mm256_slli_epi32::<23>(_mm256_castps_si256(x));
                    _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(0x3f80_0000)))
                });
                (Self(shifted.map(|x| _mm256_sub_ps(x, round))), Self(power))
            }
        }
    }
}
