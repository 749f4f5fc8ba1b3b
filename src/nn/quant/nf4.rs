//! NF4: a matrix in blocks of 64, codes of 4 bits, one scale a block, scales in 8 bits.

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
    pub fn quantize(_weights: &[f32], _shape: (usize, usize)) -> Self {
        todo!()
    }

    /// Writes the values of `range` (row-major indices) to `out`.
    pub fn dequantize_into(&self, _range: std::ops::Range<usize>, _out: &mut [f32]) {
        todo!()
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
