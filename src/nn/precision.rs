//! `Precision`: the number format of matrix products.

/// The number format of the factors of matrix products. Sums, trainable weights and everything but products stay f32. A
/// format that is not faster than f32 on this machine is not used: f32 is then exact and costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// f32.
    #[default]
    F32,
    /// bfloat16: 8 bits of significand.
    Bf16,
    /// Half precision: 11 bits of significand, numbers up to 65,504.
    F16,
}
