//! Double quantisation: the scales of blocks in 8 bits around their mean.

use std::sync::{LazyLock, Mutex};

use super::mean::mean;
use super::mirror::Mirror;
use super::nf4::Nf4;
use super::tables::NESTED_MAP;
use crate::nn::cpu::SpinPool;

/// A weight from its codes and the scales of their blocks.
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

/// Runs `work` on each part, on spinning threads: for the weight of a layer all of it takes less time than waking one.
pub(super) fn together<T: Send>(parts: impl Iterator<Item = T>, work: impl Fn(&mut T) + Sync) {
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

/// The code of a scale in -1 to 1; 0 for NaN, which equal scales give.
fn code_of(codes: &[u8], x: f32) -> u8 {
    let half = (POINTS - 1) as f32 / 2.0;
    codes[((x + 1.0) * half + 0.5).clamp(0.0, (POINTS - 1) as f32) as usize]
}

/// The code with the nearest value, the lower of two equally near ones; 0 for NaN.
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
}
