//! A linear layer: a weight that trains, or a frozen one (dense or 4-bit) with or without an adapter; with or without a bias.

use candle_core::{Device, Tensor};

use super::Weight;
use crate::error::Result;
use crate::nn::ForwardCtx;
use crate::nn::ops::{self, Adapter, Frozen};

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
    pub(crate) adapter: Option<Lora>,
}

/// The weight of a [`Linear`].
#[derive(Debug, Clone)]
pub(crate) enum Matrix {
    /// f32; trains unless an adapter took over.
    Dense(Weight),
    /// 4 bits, frozen.
    Nf4(std::sync::Arc<crate::nn::quant::Nf4>),
}

/// The low-rank update of a [`Linear`]: `scale · B A`.
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
}

impl Linear {
    /// x (…, in) -> (…, out)
    pub(crate) fn forward(&self, x: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        let (precision, interrupt) = (ctx.precision, &ctx.interrupt);
        let frozen = match (&self.matrix, &self.adapter) {
            (Matrix::Dense(weight), None) => {
                let bias = self.bias.as_ref().map(|bias| bias.tensor(ctx.grad));
                return ops::linear(x, &weight.tensor(ctx.grad), bias.as_ref(), precision, interrupt);
            }
            (Matrix::Dense(weight), Some(_)) => Frozen::Dense(weight.detached()),
            (Matrix::Nf4(codes), _) => Frozen::Nf4(codes.clone()),
        };
        let bias = self.bias.as_ref().map(Weight::detached);
        let adapter = self.adapter.as_ref().map(|lora| Adapter {
            a: lora.a.tensor(ctx.grad),
            b: lora.b.tensor(ctx.grad),
            scale: lora.scale,
            dropout: ctx.dropout(&self.name, lora.dropout),
        });
        ops::lora_linear(x, &frozen, bias.as_ref(), adapter.as_ref(), precision, interrupt)
    }

    /// The last part of the name, as adapters' `target_modules` has it: "q_proj".
    pub(crate) fn module(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// W without the adapter, (out, in) in f32; a 4-bit one is dequantised.
    pub(crate) fn base(&self, device: &Device) -> Result<Tensor> {
        match &self.matrix {
            Matrix::Dense(weight) => Ok(weight.detached()),
            Matrix::Nf4(codes) => Ok(Tensor::from_vec(codes.dequantize(), self.shape, device)?),
        }
    }

    /// W with the adapter, (out, in).
    pub(crate) fn merged(&self, device: &Device) -> Result<Tensor> {
        let base = self.base(device)?;
        match &self.adapter {
            Some(lora) => Ok((base + (lora.b.detached().matmul(&lora.a.detached())? * lora.scale)?)?),
            None => Ok(base),
        }
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
        dense.into_iter().chain(&self.bias).chain(self.adapter.iter().flat_map(|lora| [&lora.a, &lora.b]))
    }
}
