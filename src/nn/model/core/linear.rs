//! A linear layer: a weight that trains, or a frozen one (dense or 4-bit) with or without an adapter.

use candle_core::{Device, Tensor};

use super::{Run, Weight};
use crate::error::Result;
use crate::nn::ops::{self, Adapter, Frozen};

/// `y = x Wᵀ`, plus the update of an adapter. Clones share the memory.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    /// "model.layers.0.self_attn.q_proj"
    pub(crate) name: String,
    /// (out, in)
    pub(crate) shape: (usize, usize),
    /// W.
    pub(crate) matrix: Matrix,
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
    /// A layer around a dense weight called `name.weight`.
    pub(crate) fn dense(name: &str, shape: (usize, usize), weight: Weight) -> Self {
        Self { name: name.into(), shape, matrix: Matrix::Dense(weight), adapter: None }
    }

    /// x (…, in) -> (…, out)
    pub(crate) fn forward(&self, x: &Tensor, run: &Run) -> Result<Tensor> {
        let interrupt = run.interrupt();
        let frozen = match (&self.matrix, &self.adapter) {
            (Matrix::Dense(weight), None) => {
                return ops::linear_in(run.precision(), x, &weight.tensor(run.tracked), interrupt);
            }
            (Matrix::Dense(weight), Some(_)) => Frozen::Dense(weight.detached()),
            (Matrix::Nf4(codes), _) => Frozen::Nf4(codes.clone()),
        };
        let adapter = self.adapter.as_ref().map(|lora| Adapter {
            a: lora.a.tensor(run.tracked),
            b: lora.b.tensor(run.tracked),
            scale: lora.scale,
            dropout: run.dropout(&self.name, lora.dropout),
        });
        ops::lora_linear_in(run.precision(), x, &frozen, adapter.as_ref(), interrupt)
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

    /// Its weights that train or could, adapter included.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &Weight> {
        let dense = match &self.matrix {
            Matrix::Dense(weight) => Some(weight),
            Matrix::Nf4(_) => None,
        };
        dense.into_iter().chain(self.adapter.iter().flat_map(|lora| [&lora.a, &lora.b]))
    }
}
