//! The number format of products.

use candle_core::Device;
use serde::{Deserialize, Serialize};

use crate::nn::Precision;

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

impl MixedPrecision {
    /// What it comes to on a device.
    pub(crate) fn on(self, device: &Device) -> Precision {
        match self {
            Self::No => Precision::F32,
            Self::Bf16 | Self::F16 if device.is_cpu() => Precision::F32,
            Self::Bf16 | Self::F16 => Precision::Bf16,
        }
    }

    /// What there is to say about that, when it is not what was asked for.
    pub(crate) fn note(self, device: &Device) -> Option<&'static str> {
        match self {
            Self::No => None,
            _ if device.is_cpu() => Some("mixed_precision: products stay f32, which is exact and on a CPU faster"),
            Self::Bf16 => None,
            Self::F16 => Some("mixed_precision: products are bf16, as fast as f16, and gradients need no scaling"),
        }
    }
}
