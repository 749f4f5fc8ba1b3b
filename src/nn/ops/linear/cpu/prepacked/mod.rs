//! `x Wᵀ` for few rows and a prepacked 4-bit weight, in integers: where decoding in half precision spends its time.
//!
//! The weight is laid out in panels of 16 outputs. Two codes of each make one register of 16-bit integers, which is
//! multiplied by the two values of x that they belong to, the same for all; so sums stay in their lanes from the first
//! to the last input, and a block of 64 costs one conversion and one scale. x becomes integers with one scale a block,
//! too. Values of 14 bits and table entries of 13 bits just fit the sum of a block, and have several times smaller
//! errors than bf16.

use std::sync::Arc;

use half::f16;
use rayon::prelude::*;

use crate::nn::cpu::{Fetch, Isa, for_each_isa};
use crate::nn::quant::{NF4_MAP, Nf4};

const BLOCK: usize = Nf4::BLOCK;
/// Outputs of a panel.
const PANEL: usize = 16;
/// The integer for 1 in the table of values.
const ONE: f32 = 4096.0;
/// The greatest value of x: 64 products of the two stay below 2³¹.
const MOST: f32 = 8191.0;

/// A cache line of codes: for each of 16 outputs those of 4 inputs at even and 4 at odd indices.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct CodeLine([u32; PANEL]);

/// Lines of a block of 64 inputs.
const LINES: usize = BLOCK / 8;

/// Codes, scales and unit of one panel.
type PanelRef<'a> = (&'a [CodeLine], &'a [[u16; PANEL]], f32);

/// A 4-bit weight (out, in), laid out for products with few rows. It takes as much memory as the weight itself, in
/// addition to it.
#[derive(Debug)]
pub(in crate::nn) struct Prepacked {
    shape: (usize, usize),
    /// (out / 16, in / 64, 8)
    codes: Vec<CodeLine>,
    /// (out / 16, in / 64, 16), as shares of the greatest.
    scales: Vec<[u16; PANEL]>,
    /// The value of 1 in a sum of integers with a scale of 1.
    unit: f32,
    /// The weight itself, held so that its identity can be compared.
    source: Arc<Nf4>,
}

impl Prepacked {
    /// `None` where the machine has no such instructions (AVX512-VNNI) or blocks cross the ends of rows.
    pub(in crate::nn) fn new(w: &Arc<Nf4>) -> Option<Self> {
        let (out, wide) = w.shape;
        if !Isa::has_vnni() || out == 0 || wide == 0 || !wide.is_multiple_of(BLOCK) {
            return None;
        }
        let (blocks, panels) = (wide / BLOCK, out.div_ceil(PANEL));
        let mut all = vec![0.0; out * blocks];
        w.scales_into(0, &mut all);
        let most = all.iter().fold(0.0_f32, |most, scale| most.max(scale.abs()));
        let most = if most > 0.0 { most } else { 1.0 };
        let mut codes = vec![CodeLine([0; PANEL]); panels * blocks * LINES];
        let mut scales = vec![[0; PANEL]; panels * blocks];
        let parts = codes.par_chunks_exact_mut(blocks * LINES).zip(scales.par_chunks_exact_mut(blocks)).enumerate();
        parts.for_each(|(panel, (codes, scales))| {
            for o in panel * PANEL..out.min((panel + 1) * PANEL) {
                turn(&w.codes[o * wide / 2..(o + 1) * wide / 2], o % PANEL, codes);
                for (scales, scale) in scales.iter_mut().zip(&all[o * blocks..]) {
                    scales[o % PANEL] = f16::from_f32(scale / most).to_bits();
                }
            }
        });
        Some(Self { shape: w.shape, codes, scales, unit: most / ONE, source: w.clone() })
    }

    /// Whether this is the layout of `w`.
    pub(in crate::nn) fn is_of(&self, w: &Arc<Nf4>) -> bool {
        Arc::ptr_eq(&self.source, w)
    }

    /// The number of prefetch steps for a number of outputs: one for each line.
    pub(in crate::nn::ops) fn steps(&self, outputs: usize) -> usize {
        outputs.div_ceil(PANEL) * (self.shape.1 / BLOCK) * LINES
    }

    /// The outputs from `first` on, a multiple of 16: y (outputs, rows). With many rows `fetch` prefetches in
    /// [`Prepacked::steps`] steps.
    pub(in crate::nn::ops) fn outputs(&self, x: &PrepackedInput, first: usize, y: &mut [f32], fetch: &mut Fetch<'_>) {
        assert!(first.is_multiple_of(PANEL) && x.wide == self.shape.1 && first + y.len() / x.rows <= self.shape.0);
        let blocks = x.wide / BLOCK;
        for (i, y) in y.chunks_mut(PANEL * x.rows).enumerate() {
            let at = (first / PANEL + i) * blocks;
            let (codes, scales) = (&self.codes[at * LINES..(at + blocks) * LINES], &self.scales[at..at + blocks]);
            let mut row = 0;
            while row < x.rows {
                row += x86::some(x, row, (codes, scales, self.unit), y, fetch);
            }
        }
    }
}

/// Writes the codes of one output, two a byte and the first in the high nibble, to a panel.
fn turn(codes: &[u8], output: usize, panel: &mut [CodeLine]) {
    // Four bytes of a nibble each become the nibbles of 16 bits.
    let gather = |x: u32| x & 0xf | x >> 4 & 0xf0 | x >> 8 & 0xf00 | x >> 12 & 0xf000;
    for (codes, line) in codes.as_chunks::<4>().0.iter().zip(panel) {
        let pairs = u32::from_le_bytes(*codes);
        line.0[output] = gather(pairs >> 4 & 0x0f0f_0f0f) | gather(pairs & 0x0f0f_0f0f) << 16;
    }
}

/// Rows of x (rows, in) as integers, in groups of rows that are multiplied together.
pub(in crate::nn::ops) struct PrepackedInput {
    rows: usize,
    wide: usize,
    /// For each group (in / 2, rows, 2).
    values: Vec<[i16; 2]>,
    /// (rows, in / 64)
    scales: Vec<f32>,
}

/// The number of rows in a group when `left` rows are left.
fn group(left: usize) -> usize {
    match left {
        8.. => 8,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

impl PrepackedInput {
    /// x (rows, in), where `in` is a multiple of 64.
    pub(in crate::nn::ops) fn new(x: &[f32], rows: usize, wide: usize) -> Self {
        assert!(x.len() == rows * wide && wide.is_multiple_of(BLOCK), "rows of a product");
        let (mut values, mut scales) = (vec![[0; 2]; x.len() / 2], vec![0.0; x.len() / BLOCK]);
        let mut row = 0;
        while row < rows {
            let count = group(rows - row);
            let values = &mut values[row * wide / 2..(row + count) * wide / 2];
            for r in 0..count {
                let (from, scales) = (&x[(row + r) * wide..], &mut scales[(row + r) * wide / BLOCK..]);
                round(&from[..wide], count, &mut values[r..], &mut scales[..wide / BLOCK]);
            }
            row += count;
        }
        Self { rows, wide, values, scales }
    }
}

for_each_isa! {
    /// Rounds each block to integers, the greatest of them [`MOST`], two to every `step`th element. A block with a NaN
    /// or infinite value gets a NaN scale.
    fn round(x: &[f32], step: usize, values: &mut [[i16; 2]], scales: &mut [f32]) {
        for ((x, values), scale) in x.as_chunks::<BLOCK>().0.iter().zip(values.chunks_mut(BLOCK / 2 * step)).zip(scales) {
            let mut most = [0.0_f32; 16];
            let mut wrong = [0.0_f32; 16];
            for part in x.as_chunks::<16>().0 {
                for i in 0..16 {
                    most[i] = most[i].max(part[i].abs());
                    wrong[i] += part[i] * 0.0;
                }
            }
            let (most, wrong) = (most.iter().fold(0.0_f32, |a, &b| a.max(b)), wrong.iter().sum::<f32>());
            *scale = most / MOST + wrong;
            let factor = if most > 0.0 { MOST / most } else { 0.0 };
            // Rounds to nearest: adding 1.5 · 2²³ drops the fraction and leaves the integer in the lowest bits.
            let whole = x.map(|x| (x * factor + 12_582_912.0).to_bits() as i16);
            for (value, pair) in values.iter_mut().step_by(step).zip(whole.as_chunks::<2>().0) {
                *value = *pair;
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod x86 {
    use super::{PanelRef, PrepackedInput};

    /// Not called: no panels are made on this architecture.
    pub(super) fn some(
        _: &PrepackedInput,
        _: usize,
        _: PanelRef<'_>,
        _: &mut [f32],
        _: &mut super::Fetch<'_>,
    ) -> usize {
        unreachable!("Prepacked::new gave none")
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;

/// The table of values as integers, repeated to fill a register of 32.
fn table() -> [i16; 32] {
    std::array::from_fn(|i| (NF4_MAP[i % 16] * ONE).round() as i16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::cpu::skip;
    use crate::nn::ops::reference::{exact_dot, random, values};

    fn products(x: &[f32], rows: usize, w: &Arc<Nf4>) -> Option<Vec<f32>> {
        let mut y = vec![f32::NAN; w.shape.0 * rows];
        Prepacked::new(w)?.outputs(&PrepackedInput::new(x, rows, w.shape.1), 0, &mut y, &mut Fetch::nothing());
        Some(y)
    }

    #[test]
    fn it_errs_less_than_bf16() {
        for (out, wide) in [(1, 64), (16, 64), (37, 320), (70, 128), (500, 448)] {
            let w = Arc::new(Nf4::quantize(&values(&random(&[out, wide], 1)), (out, wide)));
            let dense = w.dequantize();
            for rows in 1..=13 {
                let x = values(&random(&[rows, wide], 2));
                let Some(y) = products(&x, rows, &w) else { return skip("avx512vnni") };
                for (i, y) in y.iter().enumerate() {
                    let (o, r) = (i / rows, i % rows);
                    let (sum, size) = exact_dot(&x[r * wide..(r + 1) * wide], &dense[o * wide..(o + 1) * wide]);
                    // A product of two bf16 has an error of up to 2⁻⁸ = 4e-3.
                    assert!((f64::from(*y) - sum).abs() <= 5e-4 * size, "{out}×{wide}, row {r}: {y} {sum}");
                }
            }
        }
    }

    #[test]
    fn the_greatest_values_do_not_run_over() {
        for sign in [-1.0_f32, 1.0] {
            let w = Arc::new(Nf4::quantize(&[sign; 16 * 64], (16, 64)));
            let Some(y) = products(&[1e30; 64], 1, &w) else { return skip("avx512vnni") };
            assert!(y.iter().all(|y| (y / (sign * 64e30) - 1.0).abs() < 1e-3), "{y:?}");
        }
    }

    #[test]
    fn what_is_no_number_stays_none_and_nothing_stays_nothing() {
        let w = Arc::new(Nf4::quantize(&values(&random(&[16, 128], 1)), (16, 128)));
        let mut x = vec![0.0; 256];
        x[3] = f32::NAN;
        let Some(y) = products(&x, 2, &w) else { return skip("avx512vnni") };
        assert!(y.iter().step_by(2).all(|y| y.is_nan()) && y.iter().skip(1).step_by(2).all(|&y| y == 0.0), "{y:?}");
        x[3] = f32::INFINITY;
        assert!(products(&x, 2, &w).unwrap().iter().step_by(2).all(|y| !y.is_finite()));
    }

    #[test]
    fn parts_are_those_of_the_whole() {
        let w = Arc::new(Nf4::quantize(&values(&random(&[50, 64], 1)), (50, 64)));
        let (x, Some(panels)) = (PrepackedInput::new(&values(&random(&[3, 64], 2)), 3, 64), Prepacked::new(&w)) else {
            return skip("avx512vnni");
        };
        let mut all = vec![0.0; 150];
        panels.outputs(&x, 0, &mut all, &mut Fetch::nothing());
        for (first, count) in [(0, 16), (16, 32), (32, 18), (48, 2)] {
            let mut part = vec![0.0; count * 3];
            panels.outputs(&x, first, &mut part, &mut Fetch::nothing());
            assert_eq!(part, all[first * 3..(first + count) * 3]);
        }
        assert!(panels.is_of(&w) && !panels.is_of(&Arc::new(Nf4::clone(&w))));
    }
}
