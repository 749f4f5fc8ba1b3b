//! Number formats of stored tensors. In memory they are always f32.

use std::str::FromStr;

use half::{bf16, f16};
use safetensors::Dtype as Stored;

use crate::error::{Error, Result};

/// How floats are stored; 4-bit weights keep their own layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dtype {
    /// 4 bytes, exact.
    #[default]
    F32,
    /// 2 bytes with the range of f32 and 8 bits of precision.
    Bf16,
    /// 2 bytes with 11 bits of precision, up to 65504.
    F16,
}

impl Dtype {
    /// PyTorch's name: "bfloat16".
    pub(in crate::nn) fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }

    /// safetensors' name.
    pub(in crate::nn) fn stored(self) -> Stored {
        match self {
            Self::F32 => Stored::F32,
            Self::Bf16 => Stored::BF16,
            Self::F16 => Stored::F16,
        }
    }

    /// The bytes of the numbers, rounded to the nearest where precision is lost.
    pub(crate) fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::Bf16 => values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
            Self::F16 => values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect(),
        }
    }
}

/// The numbers of a stored float tensor; `None` when it holds something else.
pub(in crate::nn) fn decode(stored: Stored, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match stored {
        Stored::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Stored::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
        Stored::BF16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        Stored::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        _ => return None,
    })
}

impl FromStr for Dtype {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "f32" | "float32" => Ok(Self::F32),
            "bf16" | "bfloat16" => Ok(Self::Bf16),
            "f16" | "float16" => Ok(Self::F16),
            _ => Err(Error::unknown("dtype", name, &["f32", "bf16", "f16"])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back_as_far_as_the_precision_goes() {
        let values = [0.0, -1.5, 2.345_678_9, 1e-3, -65504.0];
        for (dtype, error) in [(Dtype::F32, 0.0), (Dtype::Bf16, 0.004), (Dtype::F16, 0.0005)] {
            let back = decode(dtype.stored(), &dtype.encode(&values)).unwrap();
            for (x, y) in values.iter().zip(back) {
                assert!((x - y).abs() <= error * x.abs(), "{dtype:?}: {x} came back as {y}");
            }
        }
        assert_eq!(decode(Stored::I64, &[0; 8]), None);
    }

    #[test]
    fn both_spellings_are_known() {
        assert_eq!("bfloat16".parse::<Dtype>().unwrap(), "bf16".parse().unwrap());
        assert!("b16".parse::<Dtype>().unwrap_err().hint().unwrap().contains("bf16"));
    }
}
