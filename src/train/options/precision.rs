//! `mixed_precision`: the option that selects the number format of products in training.

use std::fmt;

use candle_core::Device;
use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::nn::Precision;

/// The value of `mixed_precision`. Trainable weights and their moments are f32 in every case.
///
/// A CPU uses the 16-bit format in which it is faster, or f32 where there is none, whichever format is asked for:
/// taking the option literally would cost time. [`Trainer::notes`](crate::train::Trainer::notes) reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MixedPrecision {
    /// f32 throughout.
    #[default]
    No,
    /// Products in bfloat16.
    Bf16,
    /// Products in half precision.
    F16,
}

impl<'de> Deserialize<'de> for MixedPrecision {
    /// A name; `no` is false in YAML 1.1 (PyYAML), so that false is accepted as no.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = MixedPrecision;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"no\", \"bf16\" or \"f16\"")
            }

            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<MixedPrecision, E> {
                if on { Err(E::invalid_value(Unexpected::Bool(true), &self)) } else { Ok(MixedPrecision::No) }
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<MixedPrecision, E> {
                Ok(MixedPrecision::No)
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<MixedPrecision, E> {
                match name {
                    "no" | "false" | "f32" | "fp32" | "float32" => Ok(MixedPrecision::No),
                    "bf16" | "bfloat16" => Ok(MixedPrecision::Bf16),
                    "f16" | "fp16" | "float16" => Ok(MixedPrecision::F16),
                    _ => Err(E::unknown_variant(name, &["no", "bf16", "f16"])),
                }
            }
        }
        deserializer.deserialize_any(Name)
    }
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

    /// A note for the user when the format on a device is not the one asked for.
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
