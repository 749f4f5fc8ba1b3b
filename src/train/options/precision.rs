//! The number format of products.

use serde::{Deserialize, Serialize};

/// What `mixed_precision` asks for. Weights that train and their moments are f32 in every case.
///
/// On the CPU products are f32 whatever is asked: bf16 dot products are slower there than f32 ones, so that taking the
/// request literally would cost time and digits. [`Trainer::notes`](crate::train::Trainer::notes) says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MixedPrecision {
    /// f32 throughout.
    #[default]
    No,
    /// Products in bfloat16.
    Bf16,
    /// Products in half precision.
    #[serde(alias = "fp16")]
    F16,
}
