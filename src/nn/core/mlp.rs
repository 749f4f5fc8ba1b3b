//! The feed-forward of a block, plain or gated.

use candle_core::Tensor;

use super::{Linear, MapWeights};
use crate::error::Result;
use crate::nn::ForwardCtx;
use crate::nn::ops::{self, Activation};

/// A feed-forward.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // a block has one
pub(crate) enum Mlp {
    /// `down(f(up(x)))`
    Plain {
        /// (intermediate, hidden)
        up: Linear,
        /// (hidden, intermediate)
        down: Linear,
        /// f.
        activation: Activation,
    },
    /// `down(f(gate(x)) · up(x))`
    Gated {
        /// (intermediate, hidden)
        gate: Linear,
        /// (intermediate, hidden)
        up: Linear,
        /// (hidden, intermediate)
        down: Linear,
        /// f.
        activation: Activation,
    },
}

impl Mlp {
    /// x (batch, time, hidden) -> the same shape.
    pub(super) fn forward(&self, x: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        match self {
            Self::Plain { up, down, activation } => {
                down.forward(&ops::activate(&up.forward(x, ctx)?, *activation, &ctx.interrupt)?, ctx)
            }
            Self::Gated { gate, up, down, activation } => {
                let (gate, up) = (gate.forward(x, ctx)?, up.forward(x, ctx)?); // (batch, time, intermediate)
                down.forward(&ops::gated(&gate, &up, *activation, &ctx.interrupt)?, ctx)
            }
        }
    }

    /// Its linear layers in the order of the forward pass.
    pub(super) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let (gate, up, down) = match self {
            Self::Plain { up, down, .. } => (None, up, down),
            Self::Gated { gate, up, down, .. } => (Some(gate), up, down),
        };
        gate.into_iter().chain([up, down])
    }

    pub(super) fn map(&self, map: &dyn MapWeights) -> Result<Self> {
        Ok(match self {
            Self::Plain { up, down, activation } => {
                Self::Plain { up: map.linear(up)?, down: map.linear(down)?, activation: *activation }
            }
            Self::Gated { gate, up, down, activation } => Self::Gated {
                gate: map.linear(gate)?,
                up: map.linear(up)?,
                down: map.linear(down)?,
                activation: *activation,
            },
        })
    }
}
