//! The number format of products.

use candle_core::Device;
use serde::{Deserialize, Serialize};

use crate::nn::Precision;

/// What `mixed_precision` asks for. Weights that train and their moments are f32 in every case.
///
/// On a CPU that multiplies no faster in a smaller format products are f32 whatever is asked: taking the request
/// literally would cost time and digits. [`Trainer::notes`](crate::train::Trainer::notes) says so.
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
    /// The format of the factors of products.
    pub fn precision(self) -> Precision {
        match self {
            Self::No => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::F16 => Precision::F16,
        }
    }

    /// What there is to say about it on a device, when that is not what was asked for.
    pub(crate) fn note(self, device: &Device) -> Option<&'static str> {
        match self {
            Self::No => None,
            _ if device.is_cpu() && self.precision().on_this_cpu() == Precision::F32 => {
                Some("mixed_precision: products stay f32, which is exact and on this CPU as fast")
            }
            Self::F16 if !device.is_cpu() => {
                Some("mixed_precision: products are bf16, as fast as f16, and gradients need no scaling")
            }
            Self::Bf16 | Self::F16 => None,
        }
    }
}
