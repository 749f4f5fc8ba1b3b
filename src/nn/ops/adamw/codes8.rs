//! The data of AdamW with 8-bit moments: codes, the values of codes, and the factors of a step.

/// A moment in 8 bits: a code for each value, and the scale of each block of 256.
pub(super) type BlockCodes = (Vec<u8>, Vec<f32>);

/// The tables of the two moments: the values of their 256 codes, ascending, and the code of 0.
#[derive(Debug, Clone, Copy)]
pub struct EightBitMaps<'a> {
    /// Of the first moment, signed, and of the second.
    pub values: [&'a [f32; 256]; 2],
    /// Their codes of 0.
    pub zeros: [u8; 2],
}

/// The factors of one step, rounded as the 8-bit optimizer rounds them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EightBitStep {
    /// β₁ and β₂.
    pub betas: (f32, f32),
    /// `−lr √(1 − β₂ᵗ) / (1 − β₁ᵗ)`.
    pub step: f32,
    /// `ε √(1 − β₂ᵗ)`.
    pub eps: f32,
    /// `1 − lr λ`.
    pub shrink: f32,
}
