//! The number format of products.

/// In what the factors of matrix products are held. Sums, weights that train, and everything that is not a product stay
/// f32. A format that this machine multiplies no faster than f32 is not used: f32 is then exact and costs nothing.
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
