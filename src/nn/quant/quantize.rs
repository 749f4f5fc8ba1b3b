//! From f32 to NF4: codes, then scales in 8 bits around their mean.

use std::sync::LazyLock;

use rayon::prelude::*;

use super::mean::mean;
use super::mirror::Mirror;
use super::nf4::Nf4;
use super::tables::{NESTED_MAP, NF4_MAP, midpoints};
use crate::nn::ops::cpu::for_each_isa;

/// Blocks of a task.
const TASK: usize = 256;
/// bitsandbytes never divides by less.
const SMALLEST: f32 = 1e-38;

/// Halfway between neighbours of the map: a value takes the code of all that it is above.
pub(super) static THRESHOLDS: LazyLock<[f32; 15]> = LazyLock::new(|| midpoints(&NF4_MAP));

/// Quantises a row-major matrix.
pub(super) fn quantize(weights: &[f32], shape: (usize, usize)) -> Nf4 {
    let mut codes = vec![0; weights.len().div_ceil(2)];
    let mut scales = vec![0.0; weights.len().div_ceil(Nf4::BLOCK)];
    weights
        .par_chunks(TASK * Nf4::BLOCK)
        .zip(codes.par_chunks_mut(TASK * Nf4::BLOCK / 2))
        .zip(scales.par_chunks_mut(TASK))
        .for_each(|((weights, codes), scales)| quantize_blocks(weights, &THRESHOLDS, codes, scales));
    nested(codes, &scales, shape)
}

/// The weight of codes and of the scales of their blocks.
pub(super) fn nested(codes: Vec<u8>, scales: &[f32], shape: (usize, usize)) -> Nf4 {
    let nested_offset = mean(scales);
    let (absmax, nested_absmax) = nest(scales, nested_offset);
    Nf4 { shape, codes, absmax, nested_absmax, nested_offset, mirror: Mirror::default() }
}

for_each_isa! {
    fn quantize_blocks(weights: &[f32], thresholds: &[f32; 15], codes: &mut [u8], scales: &mut [f32]) {
        let blocks = weights.chunks(Nf4::BLOCK).zip(codes.chunks_mut(Nf4::BLOCK / 2));
        for ((block, codes), scale) in blocks.zip(scales) {
            // What is missing from the last block is 0, whose code is 7.
            let mut x = [0.0f32; Nf4::BLOCK];
            x[..block.len()].copy_from_slice(block);
            let largest = x.iter().fold(0.0f32, |a, x| if x.abs() > a { x.abs() } else { a });
            if block.len() == Nf4::BLOCK {
                *scale = largest;
                let inverse = 1.0 / largest.max(SMALLEST);
                x.iter_mut().for_each(|x| *x *= inverse);
            } else {
                // bitsandbytes treats a block that is not whole in another way, and these are its bits.
                *scale = largest.max(SMALLEST);
                x.iter_mut().for_each(|x| *x /= *scale);
            }
            // No clamp: beyond ±1 the codes are those of ±1 anyway.
            let mut code = [0i32; Nf4::BLOCK];
            for threshold in thresholds {
                for i in 0..Nf4::BLOCK {
                    code[i] += i32::from(x[i] > *threshold);
                }
            }
            for (byte, pair) in codes.iter_mut().zip(code.as_chunks::<2>().0) {
                *byte = (pair[0] << 4 | pair[1]) as u8;
            }
        }
    }
}

/// The 8-bit codes of scales, and the scale of each 256 of them.
fn nest(scales: &[f32], offset: f32) -> (Vec<u8>, Vec<f32>) {
    let mut codes = vec![0; scales.len()];
    let nested = scales
        .par_chunks(Nf4::NESTED_BLOCK)
        .zip(codes.par_chunks_mut(Nf4::NESTED_BLOCK))
        .map(|(scales, codes)| {
            let largest = scales.iter().fold(0.0f32, |a, s| a.max((s - offset).abs()));
            let inverse = 1.0 / largest;
            for (scale, code) in scales.iter().zip(codes) {
                *code = code_of((scale - offset) * inverse);
            }
            largest
        })
        .collect();
    (codes, nested)
}

/// Steps from -1 to 1 in which the code of a scale is looked up.
const STEPS: f32 = 65_535.0;

/// The code of a scale in -1 to 1. bitsandbytes rounds to one of 65,536 points first and takes the code nearest to the
/// point; one scale in a thousand would get its neighbour's code otherwise. 0 for NaN, which is what scales that are
/// all the same come to.
fn code_of(x: f32) -> u8 {
    let half = STEPS / 2.0;
    let point = ((x + 1.0) * half + 0.5).trunc().clamp(0.0, STEPS);
    nearest((f64::from(point) / f64::from(half) - 1.0) as f32)
}

/// The code whose value is nearest, the lower one of two that are equally near; 0 for NaN.
fn nearest(x: f32) -> u8 {
    let upper = NESTED_MAP.partition_point(|&value| value <= x);
    if upper == 0 {
        return 0;
    }
    let lower = upper - 1;
    let rounds_up = upper < 256 && NESTED_MAP[upper] - x < x - NESTED_MAP[lower];
    (if rounds_up { upper } else { lower }) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_takes_the_lower_of_two() {
        assert_eq!(nearest(-2.0), 0);
        assert_eq!(nearest(2.0), 255);
        assert_eq!(nearest(f32::NAN), 0);
        for i in 0..255u8 {
            let (a, b) = (NESTED_MAP[usize::from(i)], NESTED_MAP[usize::from(i) + 1]);
            assert_eq!(nearest(a), i);
            assert_eq!(nearest(a + (b - a) * 0.49), i);
            assert_eq!(nearest(a + (b - a) * 0.51), i + 1);
        }
    }

    #[test]
    fn what_comes_back_is_within_half_a_step_of_the_code() {
        let weights: Vec<f32> = (0..10_000).map(|i| ((i as f32) * 0.7).sin() * ((i / 64) % 7 + 1) as f32).collect();
        let back = quantize(&weights, (100, 100)).dequantize();
        for (block, back) in weights.chunks(64).zip(back.chunks(64)) {
            let largest = block.iter().fold(0.0f32, |a, x| a.max(x.abs()));
            for (x, y) in block.iter().zip(back) {
                // The widest step between codes is 0.304; the scale itself is off by some percent.
                assert!((x - y).abs() <= 0.2 * largest, "{x} {y} of {largest}");
            }
        }
    }
}
