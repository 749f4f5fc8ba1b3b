//! AdamW with 8-bit moments (Dettmers et al. 2021, arXiv:2110.02861), with the arithmetic of bitsandbytes' blockwise
//! AdamW.
//!
//! The moments are stored in blocks of 256, each scaled by its largest absolute value and kept as codes of a dynamic map:
//! a signed one for the first moment, an unsigned one for the second. A step dequantises a block, and with
//! `c = √(1 − β₂ᵗ)`
//!
//! ```text
//! m ← β₁ m + (1 − β₁) g      v ← β₂ v + (1 − β₂) g²
//! p ← p − lr c / (1 − β₁ᵗ) · m / (√v + c ε)      p ← p (1 − lr λ)
//! ```
//!
//! and quantises it to the nearest codes; a negative `m` never becomes 0, so that it keeps its sign. Parameters of fewer
//! than 4096 values keep 32-bit moments, which take little memory.

use std::sync::LazyLock;

use rayon::prelude::*;

use candle_core::Var;

use crate::error::Result;
use crate::nn::ops::{AdamWStep, DeviceMoments8, EightBitMaps, EightBitStep};
use crate::nn::quant::NESTED_MAP;

/// Values that share a scale.
pub(super) const BLOCK: usize = 256;

/// A parameter with fewer values than this keeps 32 bits (bitsandbytes' `min_8bit_size`).
pub(super) const LEAST: usize = 4096;

/// One moment of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment8 {
    /// A code for each value.
    pub(super) codes: Vec<u8>,
    /// The largest absolute value of each block.
    pub(super) absmax: Vec<f32>,
}

/// Both moments of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moments8 {
    /// Of the gradient, signed.
    pub(super) first: Moment8,
    /// Of its square.
    pub(super) second: Moment8,
}

impl Moments8 {
    /// Zeros for a parameter of `n` values.
    pub(super) fn zeros(n: usize) -> Self {
        let zeros = |map: &Map| Moment8 { codes: vec![map.zero; n], absmax: vec![0.0; n.div_ceil(BLOCK)] };
        Self { first: zeros(&SIGNED), second: zeros(&UNSIGNED) }
    }

    /// Bytes used.
    pub(super) fn bytes(&self) -> usize {
        [&self.first, &self.second].iter().map(|moment| moment.codes.len() + 4 * moment.absmax.len()).sum()
    }

    /// A copy on the GPU of a parameter; `None` when that is on the CPU.
    pub(super) fn on_device_of(&self, parameter: &Var) -> Result<Option<DeviceMoments8>> {
        let of = [(&self.first.codes[..], &self.first.absmax[..]), (&self.second.codes, &self.second.absmax)];
        let maps = EightBitMaps { values: [&SIGNED.values, &UNSIGNED.values], zeros: [SIGNED.zero, UNSIGNED.zero] };
        DeviceMoments8::of(parameter, of, &maps)
    }

    /// The moments from a GPU.
    pub(super) fn of_device(moments: &DeviceMoments8) -> Result<Self> {
        let [first, second] = moments.to_host()?.map(|(codes, absmax)| Moment8 { codes, absmax });
        Ok(Self { first, second })
    }

    /// One step on the values `p` with their gradients `g`.
    pub(super) fn step(&mut self, p: &mut [f32], g: &[f32], hyper: &AdamWStep) {
        let factors = numbers(hyper);
        let blocks = self.first.codes.par_chunks_mut(BLOCK).zip(&mut self.first.absmax);
        let blocks = blocks.zip(self.second.codes.par_chunks_mut(BLOCK)).zip(&mut self.second.absmax);
        let values = p.par_chunks_mut(BLOCK).zip(g.par_chunks(BLOCK));
        blocks.zip(values).for_each(|((((c1, a1), c2), a2), (p, g))| {
            let (mut m, mut v) = ([0.0; BLOCK], [0.0; BLOCK]);
            let (m, v) = (&mut m[..p.len()], &mut v[..p.len()]);
            SIGNED.take_out(c1, *a1, m);
            UNSIGNED.take_out(c2, *a2, v);
            update(&factors, p, g, m, v);
            *a1 = SIGNED.put_back(m, c1);
            *a2 = UNSIGNED.put_back(v, c2);
        });
    }
}

/// The factors of a step, rounded.
pub(super) fn numbers(hyper: &AdamWStep) -> EightBitStep {
    let (t, (b1, b2)) = (hyper.step as f64, hyper.betas);
    let correction = (1.0 - b2.powf(t)).sqrt();
    EightBitStep {
        betas: (b1 as f32, b2 as f32),
        step: (-hyper.lr * correction / (1.0 - b1.powf(t))) as f32,
        eps: (correction * hyper.eps) as f32,
        shrink: (1.0 - hyper.lr * hyper.weight_decay) as f32,
    }
}

fn update(factors: &EightBitStep, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    let (b1, b2) = factors.betas;
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        *m = *m * b1 + (1.0 - b1) * g;
        *v = *v * b2 + (1.0 - b2) * g * g;
        *p = (*p + factors.step * (*m / (v.sqrt() + factors.eps))) * factors.shrink;
    }
}

/// The values of 256 codes, ascending.
struct Map {
    values: [f32; 256],
    /// The midpoints between neighbours.
    middles: [f32; 255],
    /// The code of 0.
    zero: u8,
}

static SIGNED: LazyLock<Map> = LazyLock::new(|| Map::of(*NESTED_MAP));
static UNSIGNED: LazyLock<Map> = LazyLock::new(|| Map::of(unsigned()));

/// The unsigned dynamic map: for each of 7 decades the middles of 2ⁱ⁺¹ equal steps of [0.1, 1], and 0 and 1.
fn unsigned() -> [f32; 256] {
    let mut map = [0.0; 256];
    let mut n = 0;
    for i in 0..7 {
        let (steps, decade) = (2_usize << i, 10f64.powi(i - 6) as f32);
        let width = (1.0f32 - 0.1) / steps as f32;
        // As torch.linspace: from the left end in the first half, from the right end in the second.
        let edge = |j: usize| {
            if 2 * j < steps { width.mul_add(j as f32, 0.1) } else { (-width).mul_add((steps - j) as f32, 1.0) }
        };
        for j in 0..steps {
            map[n] = decade * ((edge(j) + edge(j + 1)) / 2.0);
            n += 1;
        }
    }
    map[255] = 1.0; // map[254] stays 0
    map.sort_by(f32::total_cmp);
    map
}

impl Map {
    fn of(values: [f32; 256]) -> Self {
        let middles = std::array::from_fn(|i| (values[i] + values[i + 1]) / 2.0);
        let zero = values.iter().position(|&x| x == 0.0).unwrap_or(0) as u8;
        Self { values, middles, zero }
    }

    fn take_out(&self, codes: &[u8], absmax: f32, values: &mut [f32]) {
        for (value, &code) in values.iter_mut().zip(codes) {
            *value = self.values[usize::from(code)] * absmax;
        }
    }

    /// Writes the nearest codes and gives the scale.
    fn put_back(&self, values: &[f32], codes: &mut [u8]) -> f32 {
        let absmax = values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        for (code, &value) in codes.iter_mut().zip(values) {
            *code = if absmax == 0.0 { self.zero } else { self.nearest(value / absmax) };
            if value < 0.0 && *code == self.zero {
                *code -= 1;
            }
        }
        absmax
    }

    fn nearest(&self, x: f32) -> u8 {
        self.middles.partition_point(|&middle| middle < x) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unsigned_map_has_twice_the_steps_of_the_signed_one() {
        let map = &UNSIGNED.values;
        assert!(map.is_sorted() && map[0] == 0.0 && map[255] == 1.0);
        assert!((map[1] - 3.25e-7).abs() < 1e-12, "{}", map[1]); // 1e-6 · (0.1 + 0.55) / 2
        assert!((map[254] - (1.0 - 0.9 / 256.0)).abs() < 1e-6, "{}", map[254]);
        assert_eq!(map.iter().filter(|&&x| x > 0.1).count(), 129); // a whole decade and the 1
    }

    #[test]
    fn codes_are_the_nearest_and_a_negative_moment_keeps_its_sign() {
        let mut codes = [0; 5];
        let absmax = SIGNED.put_back(&[2.0, -1.0, 1e-12, -1e-12, 0.0], &mut codes);
        assert_eq!(absmax, 2.0);
        let mut back = [0.0; 5];
        SIGNED.take_out(&codes, absmax, &mut back);
        assert!(back[0] == 2.0 && (back[1] + 1.0).abs() < 0.02, "{back:?}");
        assert!(back[2] == 0.0 && back[3] < 0.0 && back[4] == 0.0, "{back:?}");
    }

    #[test]
    fn blocks_of_zeros_stay_zeros() {
        let (mut p, g) = (vec![1.0_f32; 300], vec![0.0_f32; 300]);
        let mut moments = Moments8::zeros(300);
        let hyper = AdamWStep { lr: 0.1, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.5, step: 1 };
        moments.step(&mut p, &g, &hyper);
        assert!(p.iter().all(|&x| (x - 0.95).abs() < 1e-6), "only the decay is left: {}", p[0]);
        assert_eq!(moments, Moments8::zeros(300));
    }
}
