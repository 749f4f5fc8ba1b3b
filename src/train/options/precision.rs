//! The number format of products.

use candle_core::Device;
use serde::{Deserialize, Serialize};

use crate::nn::Precision;

/// What `mixed_precision` asks for. Weights that train and their moments are f32 in every case.
///
/// A CPU multiplies in the format of 16 bits that it is faster in, or in f32 where there is none, whichever is asked for:
/// taking the request literally would cost time. [`Trainer::notes`](crate::train::Trainer::notes) says so.
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
        let asked = self.precision();
        if asked == Precision::F32 {
            return None;
        }
        let used = if device.is_cpu() { asked.on_this_cpu() } else { Precision::Bf16 };
        match used {
            _ if used == asked => None,
            Precision::F32 => Some("mixed_precision: products stay f32, which is exact and on this CPU as fast"),
            Precision::F16 => {
                Some("mixed_precision: products are f16 with a scale for each block, which this CPU is faster in")
            }
            Precision::Bf16 if device.is_cpu() => {
                Some("mixed_precision: products are bf16, which this CPU is faster in")
            }
            Precision::Bf16 => {
                Some("mixed_precision: products are bf16, as fast as f16, and gradients need no scaling")
            }
        }
    }
}
