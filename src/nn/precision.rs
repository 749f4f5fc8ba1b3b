//! The number format of products.

/// What the factors of a product are rounded to. Sums, weights that train and everything else are f32 in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Not at all.
    #[default]
    F32,
    /// To bfloat16, on a GPU; the CPU computes in f32, which is faster there.
    Bf16,
}
