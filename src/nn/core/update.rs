//! The update of a linear layer by adapters: low rank (LoRA), with magnitudes of its own (DoRA), several of them mixed.

use candle_core::{DType, Tensor};

use super::{Matrix, Weight};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::ops::{self, ComposedUpdate};
use crate::nn::{ForwardCtx, Precision};

/// The update of a linear layer.
#[derive(Debug, Clone)]
pub(crate) enum Update {
    /// By one adapter, which trains.
    Lora(Lora),
    /// By several adapters, mixed; it does not train.
    Mixed(ComposedUpdate),
}

impl Update {
    /// The sum of the updates of a layer by several adapters, each with a weight: what it adds to W is multiplied by that.
    /// `None` where there are none.
    ///
    /// # Errors
    /// Only when the device refuses memory.
    pub(crate) fn mixed(parts: Vec<(ComposedUpdate, f64)>) -> Result<Option<Self>> {
        let (mut a, mut b, mut gain) = (Vec::new(), Vec::new(), None::<Tensor>);
        for (part, weight) in parts {
            a.push(part.a);
            b.push((part.b * weight)?);
            if let Some(factors) = part.gain {
                let change = factors.affine(weight, -weight)?; // w (g − 1)
                gain = Some(match gain {
                    Some(sum) => (sum + change)?,
                    None => (change + 1.0)?,
                });
            }
        }
        if a.is_empty() {
            return Ok(None);
        }
        let (a, b) = (Tensor::cat(&a, 0)?, Tensor::cat(&b, 1)?.contiguous()?);
        Ok(Some(Self::Mixed(ComposedUpdate { gain, a, b })))
    }

    /// The update by one adapter.
    pub(crate) fn lora(&self) -> Option<&Lora> {
        match self {
            Self::Lora(lora) => Some(lora),
            Self::Mixed(_) => None,
        }
    }

    /// The weights of the adapter that trains.
    pub(super) fn weights(&self) -> Box<dyn Iterator<Item = &Weight> + '_> {
        match self {
            Self::Lora(lora) => Box::new(lora.weights()),
            Self::Mixed(_) => Box::new(std::iter::empty()),
        }
    }

    /// "lora r=8", "dora r=8", "adapters mixed r=12"
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Lora(lora) => lora.kind(),
            Self::Mixed(mixed) => format!("adapters mixed r={}", mixed.a.dims()[0]),
        }
    }

    /// The weight with the update, (out, in), given that without.
    pub(super) fn merged(&self, base: &Tensor) -> Result<Tensor> {
        match self {
            Self::Lora(lora) => lora.merged(base),
            Self::Mixed(ComposedUpdate { gain, a, b }) => {
                let scaled = match gain {
                    Some(gain) => base.broadcast_mul(&gain.unsqueeze(1)?)?,
                    None => base.clone(),
                };
                Ok((scaled + b.matmul(a)?)?)
            }
        }
    }
}

/// The low-rank update of a linear layer: `W + scale · B A`, whose rows may have magnitudes of their own.
#[derive(Debug, Clone)]
pub(crate) struct Lora {
    /// A: (r, in)
    pub(crate) a: Weight,
    /// B: (out, r)
    pub(crate) b: Weight,
    /// α/r or α/√r.
    pub(crate) scale: f64,
    /// Share of the inputs dropped in training.
    pub(crate) dropout: f64,
    /// What A and B began with where that was a part of the weight (PiSSA, OLoRA): `scale · B A` of it is taken away from the
    /// weight.
    pub(crate) part: Option<WeightPart>,
    /// The magnitudes of the rows, where they are apart from the directions.
    pub(crate) magnitude: Option<Magnitude>,
}

/// A part of a weight that an adapter began with; it does not train.
#[derive(Debug, Clone)]
pub(crate) struct WeightPart {
    /// A: (r, in)
    pub(crate) a: Tensor,
    /// −B: (out, r)
    pub(crate) minus_b: Tensor,
}

/// The magnitudes of the rows of a weight (Liu et al. 2024, arXiv:2402.09353): `m · (W + s B A) / ‖W + s B A‖`, row by row,
/// where the norm counts as a constant in backward.
#[derive(Debug, Clone)]
pub(crate) struct Magnitude {
    /// m: (out)
    pub(crate) vector: Weight,
    /// `‖W‖²` of each row of the frozen weight: (out).
    squares: Tensor,
}

impl Magnitude {
    /// That of a frozen weight (out, in). `vector` makes m of the norms of its rows, which it is before training.
    ///
    /// # Errors
    /// Those of `vector`.
    pub(crate) fn of(base: &Tensor, vector: impl FnOnce(&Tensor) -> Result<Weight>) -> Result<Self> {
        let squares = base.to_dtype(DType::F64)?.sqr()?.sum(1)?.to_dtype(DType::F32)?;
        Ok(Self { vector: vector(&squares.sqrt()?)?, squares })
    }
}

impl Lora {
    /// Its weights: A, B and the magnitudes.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &Weight> {
        [&self.a, &self.b].into_iter().chain(self.magnitude.iter().map(|magnitude| &magnitude.vector))
    }

    /// "lora r=8", "dora r=8"
    pub(crate) fn kind(&self) -> String {
        let name = if self.magnitude.is_some() { "dora" } else { "lora" };
        format!("{name} r={}", self.a.dims()[0])
    }

    /// The norms of the rows of `W + s B A`, which the weight is not made for:
    /// `‖W‖² + 2 s Σ (W Aᵀ) · B + s² Σ (B A Aᵀ) · B`; (out), out of reach of gradients.
    pub(super) fn norms(&self, magnitude: &Magnitude, weight: &Matrix, interrupt: &Interrupt) -> Result<Tensor> {
        let (a, b) = self.factors()?;
        let wa = ops::lora_linear(&a, &weight.frozen(), None, None, Precision::F32, interrupt)?; // (r, out)
        let cross = (wa.t()? * &b)?.sum(1)?; // (out)
        let own = (b.matmul(&a.matmul(&a.t()?)?)? * &b)?.sum(1)?; // (out)
        let squares = ((&magnitude.squares + (cross * (2.0 * self.scale))?)? + (own * self.scale.powi(2))?)?;
        Ok(squares.sqrt()?)
    }

    /// The weight with the update, (out, in), given that without.
    pub(crate) fn merged(&self, base: &Tensor) -> Result<Tensor> {
        let (a, b) = self.factors()?;
        let sum = (base + (b.matmul(&a)? * self.scale)?)?;
        let Some(magnitude) = &self.magnitude else { return Ok(sum) };
        let norms = sum.sqr()?.sum(1)?.sqrt()?;
        Ok(sum.broadcast_mul(&(magnitude.vector.detached() / norms)?.unsqueeze(1)?)?)
    }

    /// Whether it is more than A and B.
    pub(super) fn is_composed(&self) -> bool {
        self.magnitude.is_some() || self.part.is_some()
    }

    /// A (r, in) and B (out, r) of the whole update, of twice the rank where a part of the weight is taken away.
    pub(crate) fn factors(&self) -> Result<(Tensor, Tensor)> {
        let (a, b) = (self.a.detached(), self.b.detached());
        match &self.part {
            Some(WeightPart { a: first, minus_b }) => {
                Ok((Tensor::cat(&[&a, first], 0)?, Tensor::cat(&[&b, minus_b], 1)?.contiguous()?))
            }
            None => Ok((a, b)),
        }
    }

    /// Takes the part of the weight away from a product with that: y + s x Aᵀ (−B)ᵀ.
    pub(super) fn without_part(&self, y: Tensor, x: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        let Some(WeightPart { a, minus_b }) = &self.part else { return Ok(y) };
        let low = ops::linear(x, a, None, ctx.precision, &ctx.interrupt)?; // (…, r)
        let low = ops::scale(&low, self.scale as f32, &ctx.interrupt)?;
        ops::add(&y, &ops::linear(&low, minus_b, None, ctx.precision, &ctx.interrupt)?)
    }

    /// The same update as factors of the rows of W and a plain low-rank part.
    ///
    /// # Errors
    /// Only when the device refuses memory.
    pub(super) fn composed(&self, weight: &Matrix) -> Result<ComposedUpdate> {
        let (a, b) = self.factors()?;
        let b = (b * self.scale)?;
        let Some(magnitude) = &self.magnitude else { return Ok(ComposedUpdate { gain: None, a, b }) };
        let gain = (magnitude.vector.detached() / self.norms(magnitude, weight, &Interrupt::new())?)?; // (out)
        let b = b.broadcast_mul(&gain.unsqueeze(1)?)?;
        Ok(ComposedUpdate { gain: Some(gain), a, b })
    }
}
