//! The weight of a linear layer, in f32 or in 4 bits.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::Weight;
use crate::error::Result;
use crate::nn::ops::Frozen;
use crate::nn::quant::Nf4;

/// The weight of a linear layer.
#[derive(Debug, Clone)]
pub(crate) enum Matrix {
    /// f32; trains unless an adapter took over.
    Dense(Weight),
    /// 4 bits, frozen.
    Nf4(Arc<Nf4>),
}

impl Matrix {
    /// The values as a frozen weight of an op.
    pub(super) fn frozen(&self) -> Frozen {
        match self {
            Self::Dense(weight) => Frozen::Dense(weight.detached()),
            Self::Nf4(codes) => Frozen::Nf4(codes.clone()),
        }
    }

    /// The values in f32.
    pub(super) fn dense(&self, shape: (usize, usize), device: &Device) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => Ok(weight.detached()),
            Self::Nf4(codes) => Ok(Tensor::from_vec(codes.dequantize(), shape, device)?),
        }
    }
}
