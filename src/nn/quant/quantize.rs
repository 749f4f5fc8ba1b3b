//! Quantising: codes and scales of blocks, then 8-bit scales.

use candle_core::Tensor;

use super::codes::quantize_blocks;
use super::nested::{nested, together};
use super::nf4::Nf4;
use crate::error::Result;

/// Blocks of a task.
const TASK: usize = 256;

impl Nf4 {
    /// Quantises a row-major matrix.
    ///
    /// # Panics
    /// When the number of weights is not that of the shape.
    ///
    /// ```
    /// use etude::nn::quant::Nf4;
    ///
    /// let weights: Vec<f32> = (0..128).map(|i| (i as f32 / 64.0) - 1.0).collect();
    /// let matrix = Nf4::quantize(&weights, (2, 64));
    /// let back = matrix.dequantize();
    /// assert!(weights.iter().zip(&back).all(|(a, b)| (a - b).abs() < 0.2));
    /// assert_eq!(matrix.codes.len(), 64); // two weights a byte
    /// ```
    pub fn quantize(weights: &[f32], shape: (usize, usize)) -> Self {
        assert_eq!(weights.len(), shape.0 * shape.1, "weights of a {shape:?} matrix");
        quantize(weights, shape)
    }

    /// Quantises a matrix on its device.
    ///
    /// # Errors
    /// A tensor that is not an f32 matrix.
    pub fn of(weights: &Tensor) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if weights.device().is_cuda() {
            return Ok(Self::quantize_cuda(weights)?);
        }
        Ok(Self::quantize(&weights.flatten_all()?.to_vec1::<f32>()?, weights.dims2()?))
    }
}

fn quantize(weights: &[f32], shape: (usize, usize)) -> Nf4 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_takes_a_little_more_than_four_bits() {
        let weights: Vec<f32> = (0..256 * 512).map(|i| (i as f32).sin()).collect();
        let q = Nf4::quantize(&weights, (256, 512));
        let bits = 8.0 * q.bytes() as f64 / (256.0 * 512.0);
        assert!((bits - 4.127).abs() < 1e-3, "{bits}");
    }

    #[test]
    fn what_comes_back_is_within_half_a_step_of_the_code() {
        let weights: Vec<f32> = (0..10_000).map(|i| ((i as f32) * 0.7).sin() * ((i / 64) % 7 + 1) as f32).collect();
        let back = quantize(&weights, (100, 100)).dequantize();
        for (block, back) in weights.chunks(64).zip(back.chunks(64)) {
            let largest = block.iter().fold(0.0f32, |a, x| a.max(x.abs()));
            for (x, y) in block.iter().zip(back) {
                // The widest step between codes is 0.304; the scale itself has an error of some percent.
                assert!((x - y).abs() <= 0.2 * largest, "{x} {y} of {largest}");
            }
        }
    }
}
