//! A linear layer: a weight that trains, or a frozen one (dense or 4-bit) with or without an adapter; with or without a bias.

use candle_core::{Device, Tensor};

use super::{Lora, Magnitude, Update, Weight};
use crate::error::Result;
use crate::nn::ForwardCtx;
use crate::nn::ops::{self, Adapter, ComposedUpdate, Frozen};
use crate::nn::quant::Nf4;

/// `y = x Wᵀ + b`, plus the update of an adapter. Clones share the memory.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    /// "model.layers.0.self_attn.q_proj"
    pub(crate) name: String,
    /// (out, in)
    pub(crate) shape: (usize, usize),
    /// W.
    pub(crate) matrix: Matrix,
    /// b: (out)
    pub(crate) bias: Option<Weight>,
    /// Whether files hold W as (in, out), as the `Conv1D` of `transformers`; in memory it is (out, in).
    pub(crate) transposed: bool,
    /// The update.
    pub(crate) update: Option<Update>,
}

/// The weight of a [`Linear`].
#[derive(Debug, Clone)]
pub(crate) enum Matrix {
    /// f32; trains unless an adapter took over.
    Dense(Weight),
    /// 4 bits, frozen.
    Nf4(std::sync::Arc<Nf4>),
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
    fn dense(&self, shape: (usize, usize), device: &Device) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => Ok(weight.detached()),
            Self::Nf4(codes) => Ok(Tensor::from_vec(codes.dequantize(), shape, device)?),
        }
    }
}

impl Linear {
    /// x (…, in) -> (…, out)
    pub(crate) fn forward(&self, x: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        let (precision, interrupt) = (ctx.precision, &ctx.interrupt);
        let bias = || self.bias.as_ref().map(Weight::detached);
        match (&self.matrix, &self.update) {
            (Matrix::Dense(weight), None) => {
                let bias = self.bias.as_ref().map(|bias| bias.tensor(ctx.grad));
                ops::linear(x, &weight.tensor(ctx.grad), bias.as_ref(), precision, interrupt)
            }
            (matrix, None) => ops::lora_linear(x, &matrix.frozen(), bias().as_ref(), None, precision, interrupt),
            (matrix, Some(Update::Lora(lora))) => {
                if let Some(magnitude) = &lora.magnitude {
                    return self.with_magnitude(x, lora, magnitude, ctx);
                }
                let adapter = Adapter { dropout: ctx.dropout(&self.name, lora.dropout), ..adapter_of(lora, ctx) };
                ops::lora_linear(x, &matrix.frozen(), bias().as_ref(), Some(&adapter), precision, interrupt)
            }
            (matrix, Some(Update::Mixed(ComposedUpdate { gain: None, a, b }))) => {
                let adapter = Adapter { a: a.clone(), b: b.clone(), scale: 1.0, dropout: None };
                ops::lora_linear(x, &matrix.frozen(), bias().as_ref(), Some(&adapter), precision, interrupt)
            }
            (matrix, Some(Update::Mixed(ComposedUpdate { gain: Some(gain), a, b }))) => {
                let y = ops::lora_linear(x, &matrix.frozen(), None, None, precision, interrupt)?;
                let y = ops::scale_columns(&y, gain, None, interrupt)?;
                let low = ops::linear(x, a, None, precision, interrupt)?; // (…, r)
                ops::add(&y, &ops::linear(&low, b, bias().as_ref(), precision, interrupt)?)
            }
        }
    }

    /// With d the inputs of which some are dropped, as PEFT computes it:
    /// `x Wᵀ + b + (m / ‖W + s B A‖ − 1) · d Wᵀ + m / ‖W + s B A‖ · s d Aᵀ Bᵀ`.
    fn with_magnitude(&self, x: &Tensor, lora: &Lora, magnitude: &Magnitude, ctx: &ForwardCtx) -> Result<Tensor> {
        let (precision, interrupt) = (ctx.precision, &ctx.interrupt);
        let (weight, bias) = (self.matrix.frozen(), self.bias.as_ref().map(Weight::detached));
        let norms = lora.norms(magnitude, &self.matrix, interrupt)?;
        let adapter = adapter_of(lora, ctx);
        let scaled = |d: &Tensor| {
            let y = ops::lora_linear(d, &weight, None, Some(&adapter), precision, interrupt)?;
            ops::scale_columns(&y, &magnitude.vector.tensor(ctx.grad), Some(&norms), interrupt)
        };
        match ctx.dropout(&self.name, lora.dropout) {
            Some(dropout) => {
                let kept = ops::dropout(x, dropout, interrupt)?;
                let rest = ops::add(x, &ops::scale(&kept, -1.0, interrupt)?)?;
                let rest = ops::lora_linear(&rest, &weight, bias.as_ref(), None, precision, interrupt)?;
                ops::add(&rest, &scaled(&kept)?)
            }
            None => match bias {
                Some(bias) => ops::add_bias(&scaled(x)?, &bias, interrupt),
                None => scaled(x),
            },
        }
    }

    /// The last part of the name, as adapters' `target_modules` has it: "q_proj".
    pub(crate) fn module(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// W without the adapter, (out, in) in f32; a 4-bit one is dequantised.
    pub(crate) fn base(&self, device: &Device) -> Result<Tensor> {
        self.matrix.dense(self.shape, device)
    }

    /// W with the adapter, (out, in).
    pub(crate) fn merged(&self, device: &Device) -> Result<Tensor> {
        let base = self.base(device)?;
        match &self.update {
            Some(update) => update.merged(&base),
            None => Ok(base),
        }
    }

    /// Its update as [`ComposedUpdate`]; `None` where there is none, or A and B are all of it.
    pub(super) fn composed(&self) -> Result<Option<ComposedUpdate>> {
        Ok(match &self.update {
            Some(Update::Lora(lora)) if lora.is_composed() => Some(lora.composed(&self.matrix)?),
            Some(Update::Mixed(composed)) => Some(composed.clone()),
            Some(Update::Lora(_)) | None => None,
        })
    }

    /// Whether [`Linear::composed`] gives an update.
    pub(super) fn is_composed(&self) -> bool {
        self.update.as_ref().is_some_and(|update| update.lora().is_none_or(Lora::is_composed))
    }

    /// The update by one adapter, if there is one.
    pub(crate) fn lora(&self) -> Option<&Lora> {
        self.update.as_ref().and_then(Update::lora)
    }

    /// The same layer with another frozen weight, and what its update knows of that.
    pub(crate) fn with_matrix(&self, matrix: Matrix, device: &Device) -> Result<Self> {
        let mut layer = Self { matrix, ..self.clone() };
        if let Some(Update::Lora(Lora { magnitude: Some(magnitude), .. })) = &mut layer.update {
            let vector = magnitude.vector.clone();
            *magnitude = Magnitude::of(&layer.matrix.dense(self.shape, device)?, |_| Ok(vector))?;
        }
        Ok(layer)
    }

    /// The same layer with nothing that trains but its adapter.
    pub(crate) fn frozen(&self) -> Self {
        let matrix = match &self.matrix {
            Matrix::Dense(weight) => Matrix::Dense(weight.frozen()),
            codes @ Matrix::Nf4(_) => codes.clone(),
        };
        Self { matrix, bias: self.bias.as_ref().map(Weight::frozen), ..self.clone() }
    }

    /// Its weights that train or could: the dense weight, the bias, the adapter's.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &Weight> {
        let dense = match &self.matrix {
            Matrix::Dense(weight) => Some(weight),
            Matrix::Nf4(_) => None,
        };
        dense.into_iter().chain(&self.bias).chain(self.update.iter().flat_map(Update::weights))
    }
}

/// A and B for the op, nothing dropped.
fn adapter_of(lora: &Lora, ctx: &ForwardCtx) -> Adapter {
    Adapter { a: lora.a.tensor(ctx.grad), b: lora.b.tensor(ctx.grad), scale: lora.scale, dropout: None }
}
