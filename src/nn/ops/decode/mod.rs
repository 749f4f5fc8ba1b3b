//! Fused decoding on the CPU: one position through all layers, where generation spends its time. `cuda` does the same
//! on a GPU.
//!
//! With one id a row there is little to compute and much to read, so that everything around the products counts. A
//! layer is five loops over a [`SpinPool`] that spins from the first to the last layer: queries, keys and values;
//! attention; its output projection; gate and up; down. The leader computes norms and rotations and writes the cache in
//! between. No tensors are made on the way.
//!
//! The result is that of the single ops, up to the order of sums, and does not depend on the number of threads.

#[cfg(feature = "cuda")]
pub(in crate::nn) mod cuda;
mod linear_ref;

pub(crate) use self::linear_ref::ComposedUpdate;
use self::linear_ref::{DecodeInput, parts};
pub(in crate::nn) use self::linear_ref::{LinearRef, MatrixRef, UpdateRef};
use super::attention::cached_attention;
use super::kv_buffer::KvBuffer;
use super::rms_norm::forward_rows;
use super::rope::{Angles, Rotary};
use super::swiglu::forward_part;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::cpu::{Disjoint, Floats, MANY, Prefetch, SpinPool};

/// A decoder, borrowed.
pub(in crate::nn) struct Decoder<'a> {
    /// (vocabulary, hidden)
    pub(in crate::nn) embedding: Floats<'a>,
    pub(in crate::nn) blocks: Vec<BlockRef<'a>>,
    pub(in crate::nn) norm: NormRef<'a>,
    pub(in crate::nn) head: LinearRef<'a>,
}

/// RMSNorm.
pub(in crate::nn) struct NormRef<'a> {
    pub(in crate::nn) weight: Floats<'a>,
    pub(in crate::nn) eps: f32,
}

/// One layer.
pub(in crate::nn) struct BlockRef<'a> {
    pub(in crate::nn) attention_norm: NormRef<'a>,
    pub(in crate::nn) q: LinearRef<'a>,
    pub(in crate::nn) k: LinearRef<'a>,
    pub(in crate::nn) v: LinearRef<'a>,
    pub(in crate::nn) o: LinearRef<'a>,
    pub(in crate::nn) heads: usize,
    pub(in crate::nn) kv_heads: usize,
    pub(in crate::nn) head_dim: usize,
    pub(in crate::nn) rotary: Rotary,
    pub(in crate::nn) feed_forward_norm: NormRef<'a>,
    pub(in crate::nn) gate: LinearRef<'a>,
    pub(in crate::nn) up: LinearRef<'a>,
    pub(in crate::nn) down: LinearRef<'a>,
}

/// Logits (rows, vocabulary) after one more id a row, at `position`; `memory` holds keys and values of each block, with
/// capacity for one more.
///
/// # Errors
/// `interrupted`, when the user cancels.
pub(in crate::nn) fn decode_step(
    decoder: &Decoder<'_>,
    ids: &[u32],
    position: usize,
    memory: &mut [(&mut KvBuffer, &mut KvBuffer)],
    interrupt: &Interrupt,
) -> Result<Vec<f32>> {
    let step = DecodeStep { pool: SpinPool::gather(), rows: ids.len(), position };
    let hidden = decoder.norm.weight.len();
    let mut x = Vec::with_capacity(ids.len() * hidden); // (rows, hidden)
    for &id in ids {
        x.extend_from_slice(&decoder.embedding[id as usize * hidden..][..hidden]);
    }
    for (i, block) in decoder.blocks.iter().enumerate() {
        interrupt.check()?;
        let [(keys, values), later @ ..] = &mut memory[i..] else { break };
        step.attend(block, &mut x, keys, values);
        step.feed_forward(block, &mut x, later.first().map(|(keys, values)| (&**keys, &**values)));
    }
    let x = step.normed(&decoder.norm, &x);
    Ok(step.product(&x, [&decoder.head]).remove(0))
}

/// The state shared by all layers of a step.
struct DecodeStep {
    pool: SpinPool,
    rows: usize,
    position: usize,
}

impl DecodeStep {
    fn normed(&self, norm: &NormRef<'_>, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        forward_rows(x, &norm.weight, norm.eps, &mut out);
        out
    }

    /// x (rows, in) through some layers: (rows, out) of each.
    fn product<const N: usize>(&self, x: &[f32], layers: [&LinearRef<'_>; N]) -> Vec<Vec<f32>> {
        let mut out: Vec<Vec<f32>> = layers.iter().map(|layer| vec![0.0; self.rows * layer.shape.0]).collect();
        let shared: Vec<Disjoint<'_>> = out.iter_mut().map(|out| Disjoint::new(out)).collect();
        self.outputs(x, layers, Prefetch::NOTHING, |index, first, y| {
            // SAFETY: parts do not overlap.
            unsafe { scatter(y, self.rows, first, layers[index].shape.0, &shared[index], |to, y| *to = y) };
        });
        out
    }

    /// Adds x (rows, in) through a layer to the residual stream (rows, hidden), and prefetches `ahead` at the same
    /// time.
    fn add_product(&self, x: &[f32], layer: &LinearRef<'_>, stream: &mut [f32], ahead: Prefetch<'_>) {
        let shared = Disjoint::new(stream);
        self.outputs(x, [layer], ahead, |_, first, y| {
            // SAFETY: as in `product`.
            unsafe { scatter(y, self.rows, first, layer.shape.0, &shared, |to, y| *to += y) };
        });
    }

    /// Passes the outputs of some layers to `take`, part by part: the index of the layer, the first output, y (outputs,
    /// rows).
    fn outputs<const N: usize>(
        &self,
        x: &[f32],
        layers: [&LinearRef<'_>; N],
        ahead: Prefetch<'_>,
        take: impl Fn(usize, usize, &[f32]) + Sync,
    ) {
        let input = DecodeInput::new(&self.pool, x, self.rows, &layers);
        let parts = parts(&self.pool, &layers);
        self.pool.each(parts.len(), |i| {
            let (index, range) = &parts[i];
            let mut y = vec![0.0; range.len() * self.rows];
            let mut fetch = ahead.share(i, parts.len(), layers[*index].steps(range.len()));
            input.outputs((layers[*index], *index), range.start, &mut y, &mut fetch);
            take(*index, range.start, &y);
        });
    }

    /// The first half of a layer: attention over all cached positions, added to x.
    fn attend(&self, block: &BlockRef<'_>, x: &mut [f32], keys: &mut KvBuffer, values: &mut KvBuffer) {
        let (dim, group) = (block.head_dim, block.heads / block.kv_heads);
        let [q, k, v]: [Vec<f32>; 3] = self
            .product(&self.normed(&block.attention_norm, x), [&block.q, &block.k, &block.v])
            .try_into()
            .expect("three layers");
        let angles = Angles::get(&block.rotary, dim, self.position..self.position + 1);
        let rotated = |x: &[f32]| {
            let mut out = vec![0.0; x.len()];
            angles.rotate_one(x, self.position, &mut out);
            out
        };
        let q = rotated(&q); // (rows, heads, dim)
        keys.put(&rotated(&k), self.position, 1);
        values.put(&v, self.position, 1);
        let (keys, values, len) = (&*keys, &*values, self.position + 1);
        let mut y = vec![0.0; q.len()]; // (rows, heads, dim)
        let shared = Disjoint::new(&mut y);
        self.pool.each(self.rows * block.kv_heads, |i| {
            let (row, head) = (i / block.kv_heads, i % block.kv_heads);
            let range = i * group * dim..(i + 1) * group * dim;
            // SAFETY: each part writes its own heads.
            let y = unsafe { shared.part(range.clone()) };
            let scale = 1.0 / (dim as f32).sqrt();
            cached_attention(&q[range], keys.head(row, head, len), values.head(row, head, len), dim, scale, y);
        });
        self.add_product(&y, &block.o, x, Prefetch::NOTHING);
    }

    /// The second half: `down(silu(gate(x)) · up(x))`, added to x. With many rows this part is limited by arithmetic
    /// and attention by memory, so the keys and values of the `next` layer are prefetched here.
    fn feed_forward(&self, block: &BlockRef<'_>, x: &mut [f32], next: Option<(&KvBuffer, &KvBuffer)>) {
        let next = next.filter(|_| self.rows >= MANY);
        let ahead =
            next.map_or([Prefetch::NOTHING; 2], |(keys, values)| [keys, values].map(|held| held.ahead(self.position)));
        let normed = self.normed(&block.feed_forward_norm, x);
        let (rows, inner) = (self.rows, block.gate.shape.0);
        let input = DecodeInput::new(&self.pool, &normed, rows, &[&block.gate, &block.up]);
        let mut y = vec![0.0; rows * inner];
        let shared = Disjoint::new(&mut y);
        let parts = parts(&self.pool, &[&block.gate]);
        self.pool.each(parts.len(), |i| {
            let range = &parts[i].1;
            let size = range.len() * rows;
            let mut part = vec![0.0; 3 * size];
            let (gate, rest) = part.split_at_mut(size);
            let (up, out) = rest.split_at_mut(size);
            let steps = block.gate.steps(range.len()) + block.up.steps(range.len());
            let mut fetch = ahead[0].share(i, parts.len(), steps);
            input.outputs((&block.gate, 0), range.start, gate, &mut fetch);
            input.outputs((&block.up, 1), range.start, up, &mut fetch);
            forward_part(gate, up, out);
            // SAFETY: as in `product`.
            unsafe { scatter(out, rows, range.start, inner, &shared, |to, y| *to = y) };
        });
        self.add_product(&y, &block.down, x, ahead[1]);
    }
}

/// Writes y (outputs, rows), the outputs from `first` on, to their elements of a matrix (rows, width).
///
/// # Safety
/// Nothing else may use these elements at the time.
unsafe fn scatter(y: &[f32], rows: usize, first: usize, width: usize, out: &Disjoint<'_>, put: impl Fn(&mut f32, f32)) {
    let count = y.len() / rows;
    for row in 0..rows {
        // SAFETY: promised by the caller.
        let out = unsafe { out.part(row * width + first..row * width + first + count) };
        out.iter_mut().zip(y[row..].iter().step_by(rows)).for_each(|(out, &y)| put(out, y));
    }
}
