//! The parts of a block, each a pre-norm transformer's: norm, attention, gated feed-forward, and the block itself.

use candle_core::Tensor;

use super::{Change, Linear, Part, Run, Weight};
use crate::error::Result;
use crate::nn::cache::LayerCache;
use crate::nn::ops::{self, AttentionOptions, AttentionShape};

/// RMSNorm.
#[derive(Debug, Clone)]
pub(crate) struct Norm {
    pub(crate) weight: Weight,
    pub(crate) eps: f64,
}

impl Norm {
    /// x (…, hidden) -> (…, hidden)
    pub(crate) fn forward(&self, x: &Tensor, run: &Run) -> Result<Tensor> {
        ops::rms_norm(x, &self.weight.tensor(run.tracked), self.eps, run.interrupt())
    }

    pub(crate) fn change(&self, change: &dyn Change) -> Result<Self> {
        Ok(Self { weight: change.weight(&self.weight)?, eps: self.eps })
    }
}

/// Causal self-attention with rotary positions; groups of heads share keys and values (Ainslie et al. 2023).
#[derive(Debug, Clone)]
pub(crate) struct Attention {
    pub(crate) q: Linear,
    pub(crate) k: Linear,
    pub(crate) v: Linear,
    pub(crate) o: Linear,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) rope_theta: f64,
}

impl Attention {
    /// x (batch, time, hidden) at positions from `offset` on -> the same shape.
    fn forward(&self, x: &Tensor, offset: usize, cache: Option<&mut LayerCache>, run: &Run) -> Result<Tensor> {
        let (batch, time, _) = x.dims3()?;
        let (q, k) = self.turned(x, offset, run)?;
        let v = ops::reshape(&self.v.forward(x, run)?, (batch, time, self.kv_heads, self.head_dim))?;
        let shape = AttentionShape { causal: true, scale: self.scale() };
        let (k, v) = match cache {
            Some(cache) => cache.append(&k, &v)?,
            None => (k, v),
        };
        let options = AttentionOptions { precision: run.precision(), ..AttentionOptions::default() };
        let y = ops::attention_with(&q, &k, &v, shape, options, run.interrupt())?; // (batch, time, heads, dim)
        self.o.forward(&ops::reshape(&y, (batch, time, self.heads * self.head_dim))?, run)
    }

    /// Queries (batch, time, heads, dim) and keys (batch, time, kv_heads, dim), turned by their positions.
    fn turned(&self, x: &Tensor, offset: usize, run: &Run) -> Result<(Tensor, Tensor)> {
        let (batch, time, _) = x.dims3()?;
        let q = ops::reshape(&self.q.forward(x, run)?, (batch, time, self.heads, self.head_dim))?;
        let k = ops::reshape(&self.k.forward(x, run)?, (batch, time, self.kv_heads, self.head_dim))?;
        let turn = |x: &Tensor| ops::rope(x, self.rope_theta, offset, run.interrupt());
        Ok((turn(&q)?, turn(&k)?))
    }

    /// The weights themselves, which the forward pass never holds: x (batch, time, hidden) -> (batch, heads, time, time).
    fn probabilities(&self, x: &Tensor, run: &Run) -> Result<Tensor> {
        let (batch, time, _) = x.dims3()?;
        let group = self.heads / self.kv_heads;
        let (q, k) = self.turned(x, 0, run)?;
        let q = (q.transpose(1, 2)?.contiguous()? * f64::from(self.scale()))?; // (batch, heads, time, dim)
        let k = k
            .unsqueeze(3)?
            .broadcast_as((batch, time, self.kv_heads, group, self.head_dim))?
            .reshape((batch, time, self.heads, self.head_dim))?
            .permute((0, 2, 3, 1))?
            .contiguous()?; // (batch, heads, dim, time)
        let future: Vec<f32> =
            (0..time * time).map(|i| if i % time > i / time { f32::NEG_INFINITY } else { 0.0 }).collect();
        let mask = Tensor::from_vec(future, (time, time), x.device())?;
        let scores = q.matmul(&k)?.broadcast_add(&mask)?; // (batch, heads, time, time)
        Ok(candle_nn::ops::softmax_last_dim(&scores)?)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    fn change(&self, change: &dyn Change) -> Result<Self> {
        Ok(Self {
            q: change.linear(&self.q)?,
            k: change.linear(&self.k)?,
            v: change.linear(&self.v)?,
            o: change.linear(&self.o)?,
            ..*self
        })
    }
}

/// The feed-forward with SwiGLU: `down(silu(gate(x)) · up(x))`.
#[derive(Debug, Clone)]
pub(crate) struct FeedForward {
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

impl FeedForward {
    /// x (batch, time, hidden) -> the same shape.
    fn forward(&self, x: &Tensor, run: &Run) -> Result<Tensor> {
        let (gate, up) = (self.gate.forward(x, run)?, self.up.forward(x, run)?); // (batch, time, intermediate)
        self.down.forward(&ops::swiglu(&gate, &up, run.interrupt())?, run)
    }

    fn change(&self, change: &dyn Change) -> Result<Self> {
        Ok(Self { gate: change.linear(&self.gate)?, up: change.linear(&self.up)?, down: change.linear(&self.down)? })
    }
}

/// One layer of the transformer: each part reads the normed residual stream and adds to it.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) attention_norm: Norm,
    pub(crate) attention: Attention,
    pub(crate) feed_forward_norm: Norm,
    pub(crate) feed_forward: FeedForward,
}

impl Block {
    /// x (batch, time, hidden) -> the same shape.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        offset: usize,
        cache: Option<&mut LayerCache>,
        run: &Run,
    ) -> Result<Tensor> {
        let x = ops::add(x, &self.attention.forward(&self.attention_norm.forward(x, run)?, offset, cache, run)?)?;
        ops::add(&x, &self.feed_forward.forward(&self.feed_forward_norm.forward(&x, run)?, run)?)
    }

    /// Attention weights of this block for the stream that enters it: (batch, heads, time, time).
    pub(crate) fn probabilities(&self, x: &Tensor, run: &Run) -> Result<Tensor> {
        self.attention.probabilities(&self.attention_norm.forward(x, run)?, run)
    }

    /// Its parts in the order of the forward pass.
    pub(crate) fn parts(&self) -> [Part<'_>; 9] {
        [
            Part::Norm(&self.attention_norm.weight),
            Part::Linear(&self.attention.q),
            Part::Linear(&self.attention.k),
            Part::Linear(&self.attention.v),
            Part::Linear(&self.attention.o),
            Part::Norm(&self.feed_forward_norm.weight),
            Part::Linear(&self.feed_forward.gate),
            Part::Linear(&self.feed_forward.up),
            Part::Linear(&self.feed_forward.down),
        ]
    }

    pub(crate) fn change(&self, change: &dyn Change) -> Result<Self> {
        Ok(Self {
            attention_norm: self.attention_norm.change(change)?,
            attention: self.attention.change(change)?,
            feed_forward_norm: self.feed_forward_norm.change(change)?,
            feed_forward: self.feed_forward.change(change)?,
        })
    }
}
