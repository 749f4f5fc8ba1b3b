//! The norm in front of attention and feed-forward, and behind the last block.

use candle_core::Tensor;

use super::{MapWeights, Weight};
use crate::error::Result;
use crate::nn::ForwardCtx;
use crate::nn::ops;

/// A norm over the last axis, with its weights.
#[derive(Debug, Clone)]
pub(crate) enum Norm {
    /// RMSNorm.
    Rms {
        /// (hidden)
        weight: Weight,
        /// Added to the mean square.
        eps: f64,
    },
    /// LayerNorm.
    Layer {
        /// (hidden)
        weight: Weight,
        /// (hidden)
        bias: Weight,
        /// Added to the variance.
        eps: f64,
    },
}

impl Norm {
    /// x (…, hidden) -> (…, hidden)
    pub(crate) fn forward(&self, x: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        match self {
            Self::Rms { weight, eps } => ops::rms_norm(x, &weight.tensor(ctx.grad), *eps, &ctx.interrupt),
            Self::Layer { weight, bias, eps } => {
                let (weight, bias) = (weight.tensor(ctx.grad), bias.tensor(ctx.grad));
                ops::layer_norm(x, &weight, Some(&bias), *eps, &ctx.interrupt)
            }
        }
    }

    /// "rms_norm", "layer_norm"
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Rms { .. } => "rms_norm",
            Self::Layer { .. } => "layer_norm",
        }
    }

    /// Its weights: the weight, and the bias if it has one.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &Weight> {
        let (weight, bias) = match self {
            Self::Rms { weight, .. } => (weight, None),
            Self::Layer { weight, bias, .. } => (weight, Some(bias)),
        };
        std::iter::once(weight).chain(bias)
    }

    /// The weight.
    pub(crate) fn weight(&self) -> &Weight {
        match self {
            Self::Rms { weight, .. } | Self::Layer { weight, .. } => weight,
        }
    }

    pub(super) fn map(&self, map: &dyn MapWeights) -> Result<Self> {
        Ok(match self {
            Self::Rms { weight, eps } => Self::Rms { weight: map.weight(weight)?, eps: *eps },
            Self::Layer { weight, bias, eps } => {
                Self::Layer { weight: map.weight(weight)?, bias: map.weight(bias)?, eps: *eps }
            }
        })
    }
}
