//! NF4: a matrix in blocks of 64, codes of 4 bits, one scale a block, scales in 8 bits.

use super::mirror::Mirror;
use super::scales::scales;
use super::tables::NESTED_MAP;

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

impl Nf4 {
    /// Values that share one scale.
    pub const BLOCK: usize = 64;
    /// Scales that share one scale.
    pub const NESTED_BLOCK: usize = 256;

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

    /// The scale of each block, dequantised.
    pub fn block_scales(&self) -> Vec<f32> {
        let mut scales = vec![0.0; self.absmax.len()];
        self.scales_into(0, &mut scales);
        scales
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.codes.len() + self.absmax.len() + 4 * self.nested_absmax.len() + 4
    }

    pub(super) fn len(&self) -> usize {
        self.shape.0 * self.shape.1
    }
}
