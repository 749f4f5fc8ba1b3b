//! A linear layer: a weight that trains, or a frozen one (dense or 4-bit) with or without an adapter; with or without a bias.

use candle_core::{Device, Tensor};

use super::{Lora, Magnitude, Matrix, Update, Weight};
use crate::error::{Error, Result};
use crate::nn::ForwardCtx;
use crate::nn::ops::{self, Adapter, ComposedUpdate};

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

impl Linear {
    /// x (…, in) -> (…, out)
    pub(crate) fn forward(&self, x: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        let (precision, interrupt) = (ctx.precision, &ctx.interrupt);
        if let (Matrix::Dense(weight), None) = (&self.matrix, &self.update) {
            let bias = self.bias.as_ref().map(|bias| bias.tensor(ctx.grad));
            return ops::linear(x, &weight.tensor(ctx.grad), bias.as_ref(), precision, interrupt);
        }
        // Beside a frozen weight a bias is frozen, too, or trains and is added apart.
        let (trained, frozen) = match &self.bias {
            Some(bias) if bias.var().is_some() => (Some(bias.tensor(ctx.grad)), None),
            other => (None, other.as_ref().map(Weight::detached)),
        };
        let weight = self.matrix.frozen();
        let product = |x: &Tensor, bias: Option<&Tensor>, adapter: Option<&Adapter>| {
            ops::lora_linear(x, &weight, bias, adapter, precision, interrupt)
        };
        let y = match &self.update {
            None => product(x, frozen.as_ref(), None)?,
            Some(Update::Lora(Lora { magnitude: Some(magnitude), .. })) => {
                let y = self.with_magnitude(x, magnitude, ctx)?;
                match &frozen {
                    Some(bias) => ops::add_bias(&y, bias, interrupt)?,
                    None => y,
                }
            }
            Some(Update::Lora(lora)) => {
                let adapter = Adapter { dropout: ctx.dropout(&self.name, lora.dropout), ..adapter_of(lora, ctx) };
                lora.without_part(product(x, frozen.as_ref(), Some(&adapter))?, x, ctx)?
            }
            Some(Update::Mixed(ComposedUpdate { gain: None, a, b })) => {
                let adapter = Adapter { a: a.clone(), b: b.clone(), scale: 1.0, dropout: None };
                product(x, frozen.as_ref(), Some(&adapter))?
            }
            Some(Update::Mixed(ComposedUpdate { gain: Some(gain), a, b })) => {
                let y = ops::scale_columns(&product(x, None, None)?, gain, None, interrupt)?;
                let low = ops::linear(x, a, None, precision, interrupt)?; // (…, r)
                ops::add(&y, &ops::linear(&low, b, frozen.as_ref(), precision, interrupt)?)?
            }
        };
        match trained {
            Some(bias) => ops::add_bias(&y, &bias, interrupt),
            None => Ok(y),
        }
    }

    /// With d the inputs of which some are dropped, as PEFT computes it, the bias left out:
    /// `x Wᵀ + (m / ‖W + s B A‖ − 1) · d Wᵀ + m / ‖W + s B A‖ · s d Aᵀ Bᵀ`.
    fn with_magnitude(&self, x: &Tensor, magnitude: &Magnitude, ctx: &ForwardCtx) -> Result<Tensor> {
        let (precision, interrupt) = (ctx.precision, &ctx.interrupt);
        let Some(lora) = self.lora() else { return Err(Error::internal("magnitudes without an adapter")) };
        let weight = self.matrix.frozen();
        let norms = lora.norms(magnitude, &self.matrix, interrupt)?;
        let adapter = adapter_of(lora, ctx);
        let scaled = |d: &Tensor| {
            let y = ops::lora_linear(d, &weight, None, Some(&adapter), precision, interrupt)?;
            let y = lora.without_part(y, d, ctx)?;
            ops::scale_columns(&y, &magnitude.vector.tensor(ctx.grad), Some(&norms), interrupt)
        };
        match ctx.dropout(&self.name, lora.dropout) {
            Some(dropout) => {
                let kept = ops::dropout(x, dropout, interrupt)?;
                let rest = ops::add(x, &ops::scale(&kept, -1.0, interrupt)?)?;
                let y = ops::lora_linear(&rest, &weight, None, None, precision, interrupt)?;
                ops::add(&lora.without_part(y, &rest, ctx)?, &scaled(&kept)?)
            }
            None => scaled(x),
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
        if self.is_composed() { self.mixed_part() } else { Ok(None) }
    }

    /// Whether [`Linear::composed`] gives an update.
    pub(super) fn is_composed(&self) -> bool {
        self.update.as_ref().is_some_and(|update| update.lora().is_none_or(Lora::is_composed))
    }

    /// What mixing adapters needs of this layer.
    pub(crate) fn mixed_part(&self) -> Result<Option<ComposedUpdate>> {
        match &self.update {
            Some(Update::Lora(lora)) => Ok(Some(lora.composed(&self.matrix)?)),
            Some(Update::Mixed(composed)) => Ok(Some(composed.clone())),
            None => Ok(None),
        }
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
