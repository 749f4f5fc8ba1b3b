//! The linear layers of a decoder, borrowed, and their products.

use std::ops::Range;

use candle_core::Tensor;

use crate::error::Result;
use crate::nn::cpu::{Disjoint, Fetch, Floats, SpinPool, dot, floats, for_each_isa};
use crate::nn::ops::linear::{GemvInput, Prepacked, PrepackedInput, dots, steps};
use crate::nn::quant::Nf4;

/// The least and the most weights of a part: fewer are not worth handing over, more would leave threads idle at the
/// end.
const PART: Range<usize> = 1 << 13..1 << 18;
/// Parts for each thread, so that a delayed thread does not delay all.
const PARTS: usize = 4;

/// A linear layer, borrowed: `y = g · x Wᵀ + s · x Aᵀ Bᵀ`.
pub(in crate::nn) struct LinearRef<'a> {
    pub(in crate::nn) weight: MatrixRef<'a>,
    /// (out, in)
    pub(in crate::nn) shape: (usize, usize),
    /// g: (out), 1 where it is absent.
    pub(in crate::nn) gain: Option<Floats<'a>>,
    pub(in crate::nn) update: Option<UpdateRef<'a>>,
}

/// An update of a weight W by factors of its rows and a low-rank part: `g · W + B A`.
#[derive(Debug, Clone)]
pub(crate) struct ComposedUpdate {
    /// g: (out), 1 where it is absent.
    pub(crate) gain: Option<Tensor>,
    /// A: (r, in)
    pub(crate) a: Tensor,
    /// B: (out, r)
    pub(crate) b: Tensor,
}

impl ComposedUpdate {
    /// It, borrowed.
    ///
    /// # Errors
    /// Tensors that are not on the CPU.
    pub(in crate::nn) fn borrow(&self) -> Result<(Option<Floats<'_>>, UpdateRef<'_>)> {
        let gain = self.gain.as_ref().map(floats).transpose()?;
        Ok((gain, UpdateRef { a: floats(&self.a)?, b: floats(&self.b)?, rank: self.a.dims()[0], scale: 1.0 }))
    }
}

/// The values of W, (out, in).
pub(in crate::nn) enum MatrixRef<'a> {
    Dense(Floats<'a>),
    Nf4(&'a Nf4),
    Prepacked(&'a Prepacked),
}

/// An adapter.
pub(in crate::nn) struct UpdateRef<'a> {
    /// (r, in)
    pub(in crate::nn) a: Floats<'a>,
    /// (out, r)
    pub(in crate::nn) b: Floats<'a>,
    pub(in crate::nn) rank: usize,
    pub(in crate::nn) scale: f32,
}

/// The input of some layers: x (rows, in), prepacked for those with 4-bit weights, and `s · x Aᵀ` of each.
pub(super) struct DecodeInput<'a> {
    x: &'a [f32],
    rows: usize,
    few: Option<GemvInput<'a>>,
    whole: Option<PrepackedInput>,
    /// (rows, r) of each layer; empty where it has no adapter.
    low: Vec<Vec<f32>>,
}

impl<'a> DecodeInput<'a> {
    /// x (rows, in) for `layers`.
    pub(super) fn new(pool: &SpinPool, x: &'a [f32], rows: usize, layers: &[&LinearRef<'_>]) -> Self {
        let wide = x.len() / rows;
        let any = |of: fn(&MatrixRef<'_>) -> bool| layers.iter().any(|layer| of(&layer.weight));
        let few = any(|w| matches!(w, MatrixRef::Nf4(_))).then(|| GemvInput::new(x, rows, wide));
        let whole = any(|w| matches!(w, MatrixRef::Prepacked(_))).then(|| PrepackedInput::new(x, rows, wide));
        let rank = |f: &LinearRef<'_>| f.update.as_ref().map_or(0, |update| update.rank);
        let mut low: Vec<Vec<f32>> = layers.iter().map(|f| vec![0.0; rank(f) * rows]).collect();
        if low.iter().any(|low| !low.is_empty()) {
            let shared: Vec<Disjoint<'_>> = low.iter_mut().map(|low| Disjoint::new(low)).collect();
            pool.each(layers.len(), |i| {
                if let Some(update) = &layers[i].update {
                    // SAFETY: each part writes that of its own layer.
                    let low = unsafe { shared[i].part(0..update.rank * rows) };
                    squeeze(x, &update.a, update.scale, update.rank, low);
                }
            });
        }
        Self { x, rows, few, whole, low }
    }

    /// The outputs of layer `index` from `first` on: y (outputs, rows).
    pub(super) fn outputs(
        &self,
        (layer, index): (&LinearRef<'_>, usize),
        first: usize,
        y: &mut [f32],
        fetch: &mut Fetch<'_>,
    ) {
        let (rows, wide) = (self.rows, layer.shape.1);
        match &layer.weight {
            MatrixRef::Nf4(w) => self.few.as_ref().expect("laid out in Input::new").outputs(w, first, y, fetch),
            MatrixRef::Prepacked(w) => w.outputs(self.whole.as_ref().expect("laid out in Input::new"), first, y, fetch),
            MatrixRef::Dense(w) => {
                for (o, y) in (first..).zip(y.chunks_exact_mut(rows)) {
                    dots(&w[o * wide..(o + 1) * wide], self.x, y);
                }
            }
        }
        if let Some(gain) = &layer.gain {
            for (gain, y) in gain[first..].iter().zip(y.chunks_exact_mut(rows)) {
                y.iter_mut().for_each(|y| *y *= gain);
            }
        }
        if let Some(update) = &layer.update {
            add_update(&update.b[first * update.rank..], &self.low[index], update.rank, y);
        }
    }
}

impl LinearRef<'_> {
    /// The number of prefetch steps for a number of outputs.
    pub(super) fn steps(&self, outputs: usize) -> usize {
        match &self.weight {
            MatrixRef::Nf4(_) => steps(outputs, self.shape.1),
            MatrixRef::Prepacked(w) => w.steps(outputs),
            MatrixRef::Dense(_) => 0,
        }
    }
}

for_each_isa! {
    /// u = s · x Aᵀ: x (rows, in), a (r, in) -> u (rows, r)
    fn squeeze(x: &[f32], a: &[f32], scale: f32, rank: usize, u: &mut [f32]) {
        let wide = a.len() / rank;
        for (x, u) in x.chunks_exact(wide).zip(u.chunks_exact_mut(rank)) {
            for (a, u) in a.chunks_exact(wide).zip(u) {
                *u = dot(x, a) * scale;
            }
        }
    }
}

for_each_isa! {
    /// y += b uᵀ: b (outputs, r), u (rows, r) -> y (outputs, rows)
    fn add_update(b: &[f32], u: &[f32], rank: usize, y: &mut [f32]) {
        let rows = u.len() / rank;
        for (b, y) in b.chunks_exact(rank).zip(y.chunks_exact_mut(rows)) {
            for (u, y) in u.chunks_exact(rank).zip(y) {
                *y += dot(b, u);
            }
        }
    }
}

/// The outputs of all layers in parts: the layer, and its outputs.
pub(super) fn parts(pool: &SpinPool, layers: &[&LinearRef<'_>]) -> Vec<(usize, Range<usize>)> {
    let weights: usize = layers.iter().map(|layer| layer.shape.0 * layer.shape.1).sum();
    let size = (weights / (PARTS * pool.size())).clamp(PART.start, PART.end);
    let mut parts = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let (out, wide) = layer.shape;
        let step = size.div_ceil(wide.max(1)).next_multiple_of(16);
        parts.extend((0..out).step_by(step).map(|first| (index, first..out.min(first + step))));
    }
    parts
}
