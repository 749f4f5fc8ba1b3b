//! From f32 to NF4: codes, then scales in 8 bits around their mean.

use std::sync::{LazyLock, Mutex};

use super::codes::quantize_blocks;
use super::mean::mean;
use super::mirror::Mirror;
use super::nf4::Nf4;
use super::tables::NESTED_MAP;
use crate::nn::ops::cpu::SpinPool;

/// Blocks of a task.
const TASK: usize = 256;

/// Quantises a row-major matrix.
pub(super) fn quantize(weights: &[f32], shape: (usize, usize)) -> Nf4 {
    let mut codes = vec![0; weights.len().div_ceil(2)];
    let mut scales = vec![0.0; weights.len().div_ceil(Nf4::BLOCK)];
    let parts = weights
        .chunks(TASK * Nf4::BLOCK)
        .zip(codes.chunks_mut(TASK * Nf4::BLOCK / 2))
        .zip(scales.chunks_mut(TASK))
        .map(|((weights, codes), scales)| (weights, codes, scales));
    together(parts, |(weights, codes, scales)| quantize_blocks(weights, codes, scales));
    nested(codes, &scales, shape)
}

/// The weight of codes and of the scales of their blocks.
pub(super) fn nested(codes: Vec<u8>, scales: &[f32], shape: (usize, usize)) -> Nf4 {
    let nested_offset = mean(scales);
    let (absmax, nested_absmax) = nest(scales, nested_offset);
    Nf4 { shape, codes, absmax, nested_absmax, nested_offset, mirror: Mirror::default() }
}

/// The 8-bit codes of scales, and the scale of each 256 of them.
fn nest(scales: &[f32], offset: f32) -> (Vec<u8>, Vec<f32>) {
    let table: &[u8] = &CODES;
    let mut codes = vec![0; scales.len()];
    let mut nested = vec![0.0; scales.len().div_ceil(Nf4::NESTED_BLOCK)];
    let parts = scales.chunks(Nf4::NESTED_BLOCK).zip(codes.chunks_mut(Nf4::NESTED_BLOCK)).zip(&mut nested);
    together(parts, |((scales, codes), nested)| {
        let largest = scales.iter().fold(0.0f32, |a, s| a.max((s - offset).abs()));
        let inverse = 1.0 / largest;
        for (scale, code) in scales.iter().zip(codes.iter_mut()) {
            *code = code_of(table, (scale - offset) * inverse);
        }
        **nested = largest;
    });
    (codes, nested)
}

/// Does `work` to each part, on threads that are awake: all of it takes less than waking one, for the weight of a layer.
fn together<T: Send>(parts: impl Iterator<Item = T>, work: impl Fn(&mut T) + Sync) {
    let parts: Vec<Mutex<T>> = parts.map(Mutex::new).collect();
    SpinPool::gather().each(parts.len(), |i| work(&mut parts[i].lock().expect("a part is worked on once")));
}

/// Points from -1 to 1. bitsandbytes rounds a scale to one of them and takes the code nearest to the point; one scale in a
/// thousand would get its neighbour's code otherwise.
const POINTS: usize = 1 << 16;

/// The code of each point.
static CODES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let half = (POINTS - 1) as f32 / 2.0;
    (0..POINTS).map(|point| nearest((point as f64 / f64::from(half) - 1.0) as f32)).collect()
});

/// The code of a scale in -1 to 1; 0 for NaN, which is what scales that are all the same come to.
fn code_of(codes: &[u8], x: f32) -> u8 {
    let half = (POINTS - 1) as f32 / 2.0;
    codes[((x + 1.0) * half + 0.5).clamp(0.0, (POINTS - 1) as f32) as usize]
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
