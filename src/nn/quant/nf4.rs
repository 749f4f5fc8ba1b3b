//! NF4: a matrix in blocks of 64, codes of 4 bits, one scale a block, scales in 8 bits.

use std::ops::Range;

use candle_core::Tensor;

use super::cpu;
use super::mirror::Mirror;
use super::quantize;
use super::scales::scales;
use super::tables::NESTED_MAP;
use crate::error::Result;
use crate::nn::ops::cpu::{Disjoint, SpinPool, fill};

/// A frozen 4-bit matrix (rows, columns), row-major, as `torch.nn.Linear` keeps its weight: (out, in).
///
/// The value at index i is `NF4_MAP[code i] · scale[i / 64]`, and the scale of block b is
/// `NESTED_MAP[absmax[b]] · nested_absmax[b / 256] + nested_offset`. Blocks run over the ends of rows.
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
    /// The copy on a GPU.
    pub(in crate::nn) mirror: Mirror,
}

/// Values of a task.
const CHUNK: usize = 1 << 14;

impl Nf4 {
    /// Values that share one scale.
    pub const BLOCK: usize = 64;
    /// Scales that share one scale.
    pub const NESTED_BLOCK: usize = 256;

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
        quantize::quantize(weights, shape)
    }

    /// Quantises a matrix, where it is.
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

    /// Writes the values of `range` (row-major indices) to `out`, on all threads if there are many.
    ///
    /// # Panics
    /// When the range is not inside the matrix or has another length than `out`.
    pub fn dequantize_into(&self, range: Range<usize>, out: &mut [f32]) {
        assert!(range.len() == out.len() && range.end <= self.len(), "{range:?} of {:?}", self.shape);
        if out.len() <= CHUNK {
            return cpu::dequantize(self, range.start, out);
        }
        let (len, shared) = (out.len(), Disjoint::new(out));
        // A layer takes some tens of microseconds, as long as it would take to wake a thread.
        SpinPool::gather().each(len.div_ceil(CHUNK), |i| {
            let chunk = i * CHUNK..len.min((i + 1) * CHUNK);
            // SAFETY: chunks do not overlap.
            cpu::dequantize(self, range.start + chunk.start, unsafe { shared.part(chunk) });
        });
    }

    /// As [`Nf4::dequantize_into`] from index `at` on, on the calling thread.
    pub(in crate::nn) fn dequantize_here(&self, at: usize, out: &mut [f32]) {
        cpu::dequantize(self, at, out);
    }

    /// The scale of a block.
    pub(in crate::nn) fn scale(&self, block: usize) -> f32 {
        NESTED_MAP[usize::from(self.absmax[block])] * self.nested_absmax[block / Self::NESTED_BLOCK]
            + self.nested_offset
    }

    /// The scales of the blocks from `first` on.
    pub(in crate::nn) fn scales_into(&self, first: usize, out: &mut [f32]) {
        let (mut first, mut out) = (first, out);
        while !out.is_empty() {
            let nested = first / Self::NESTED_BLOCK;
            let count = out.len().min((nested + 1) * Self::NESTED_BLOCK - first);
            let (now, later) = out.split_at_mut(count);
            scales(&self.absmax[first..first + count], self.nested_absmax[nested], self.nested_offset, now);
            first += count;
            out = later;
        }
    }

    /// All values.
    pub fn dequantize(&self) -> Vec<f32> {
        // SAFETY: every element is written.
        unsafe {
            fill(self.len(), |out| {
                let out = Disjoint::uninit(out).part(0..self.len());
                self.dequantize_into(0..out.len(), out);
            })
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.codes.len() + self.absmax.len() + 4 * self.nested_absmax.len() + 4
    }

    fn len(&self) -> usize {
        self.shape.0 * self.shape.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(shape: (usize, usize)) -> Nf4 {
        let weights: Vec<f32> = (0..shape.0 * shape.1).map(|i| ((i * i) as f32).sin() * (1 + i / 64) as f32).collect();
        Nf4::quantize(&weights, shape)
    }

    #[test]
    fn any_range_is_a_part_of_the_whole() {
        let q = example((37, 45));
        let all = q.dequantize();
        for range in [0..0, 0..1, 1..2, 63..65, 5..200, 64..128, 65..1000, 1600..1665, 0..1665] {
            let mut part = vec![0.0; range.len()];
            q.dequantize_into(range.clone(), &mut part);
            assert_eq!(part, all[range]);
        }
    }

    #[test]
    fn a_large_matrix_does_not_depend_on_the_number_of_threads() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let q = example((301, 257));
                (q.dequantize(), q)
            })
        };
        assert!(run(1) == run(3));
    }

    #[test]
    fn a_weight_takes_a_little_more_than_four_bits() {
        let q = example((256, 512));
        let bits = 8.0 * q.bytes() as f64 / (256.0 * 512.0);
        assert!((bits - 4.127).abs() < 1e-3, "{bits}");
    }
}
