//! NF4: a matrix in blocks of 64, codes of 4 bits, one scale a block, scales in 8 bits.

use rayon::prelude::*;

use super::tables::{NESTED_MAP, NF4_MAP};

/// A frozen 4-bit matrix (rows, columns), row-major, as `torch.nn.Linear` keeps its weight: (out, in).
#[derive(Debug, Clone, PartialEq)]
pub struct Nf4 {
    /// (out_features, in_features)
    pub shape: (usize, usize),
    /// Two codes a byte, the first in the high nibble.
    pub codes: Vec<u8>,
    /// 8-bit codes of the blocks' scales.
    pub absmax: Vec<u8>,
    /// Scales of the scales, one a block of 256.
    pub nested_absmax: Vec<f32>,
    /// Mean of the scales, subtracted before they were quantised.
    pub nested_offset: f32,
}

impl Nf4 {
    /// Values that share one scale.
    pub const BLOCK: usize = 64;
    /// Scales that share one scale.
    pub const NESTED_BLOCK: usize = 256;

    /// Quantises a row-major matrix.
    pub fn quantize(weights: &[f32], shape: (usize, usize)) -> Self {
        assert_eq!(weights.len(), shape.0 * shape.1);
        let thresholds: Vec<f32> = NF4_MAP.windows(2).map(|w| (w[0] + w[1]) / 2.0).collect();
        let mut codes = vec![0u8; weights.len().div_ceil(2)];
        let scales: Vec<f32> = weights
            .par_chunks(Self::BLOCK)
            .zip(codes.par_chunks_mut(Self::BLOCK / 2))
            .map(|(x, codes)| {
                let scale = x.iter().fold(0.0f32, |a, b| a.max(b.abs()));
                let inverse = 1.0 / scale;
                let code = |x: f32| {
                    let scaled = (x * inverse).clamp(-1.0, 1.0);
                    thresholds.iter().filter(|&&t| t < scaled).count() as u8
                };
                for (pair, byte) in x.chunks(2).zip(codes) {
                    *byte = code(pair[0]) << 4 | pair.get(1).map_or(0, |&x| code(x));
                }
                scale
            })
            .collect();
        let nested_offset = (scales.iter().map(|&s| f64::from(s)).sum::<f64>() / scales.len().max(1) as f64) as f32;
        let mut absmax = vec![0u8; scales.len()];
        let nested_absmax = scales
            .par_chunks(Self::NESTED_BLOCK)
            .zip(absmax.par_chunks_mut(Self::NESTED_BLOCK))
            .map(|(scales, codes)| {
                let highest = scales.iter().fold(0.0f32, |a, s| a.max((s - nested_offset).abs()));
                let inverse = 1.0 / highest;
                for (s, code) in scales.iter().zip(codes) {
                    let x = ((s - nested_offset) * inverse).clamp(-1.0, 1.0);
                    let above = NESTED_MAP.partition_point(|&m| m < x).clamp(1, 255);
                    let (low, high) = (NESTED_MAP[above - 1], NESTED_MAP[above]);
                    *code = if x - low <= high - x { above - 1 } else { above } as u8;
                }
                highest
            })
            .collect();
        Self { shape, codes, absmax, nested_absmax, nested_offset }
    }

    /// The scale of a block.
    fn scale(&self, block: usize) -> f32 {
        NESTED_MAP[self.absmax[block] as usize] * self.nested_absmax[block / Self::NESTED_BLOCK] + self.nested_offset
    }

    /// Writes the values of `range` (row-major indices) to `out`.
    pub fn dequantize_into(&self, range: std::ops::Range<usize>, out: &mut [f32]) {
        assert!(range.len() == out.len() && range.end <= self.shape.0 * self.shape.1);
        let mut rest = out;
        let mut parts = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let end = ((at / 4096 + 1) * 4096).min(range.end);
            let (part, next) = rest.split_at_mut(end - at);
            parts.push((at, part));
            (rest, at) = (next, end);
        }
        parts.into_par_iter().for_each(|(at, part)| self.dequantize_part(at, part));
    }

    fn dequantize_part(&self, at: usize, out: &mut [f32]) {
        let mut i = at;
        let end = at + out.len();
        while i < end {
            let block = i / Self::BLOCK;
            let stop = ((block + 1) * Self::BLOCK).min(end);
            let scale = self.scale(block);
            for j in i..stop {
                let byte = self.codes[j / 2];
                let code = if j % 2 == 0 { byte >> 4 } else { byte & 15 };
                out[j - at] = NF4_MAP[code as usize] * scale;
            }
            i = stop;
        }
    }

    /// All values.
    pub fn dequantize(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.shape.0 * self.shape.1];
        self.dequantize_into(0..out.len(), &mut out);
        out
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.codes.len() + self.absmax.len() + 4 * self.nested_absmax.len() + 4
    }
}
