//! Attention in blocks of 64 queries and 64 keys with a running softmax (Milakov & Gimelshein 2018; Dao et al. 2022): a
//! thread holds one head of keys and values and a few matrices of 64 × 64, for any lengths.
//!
//! Scores are kept transposed, a query a lane: maxima and sums over keys are sums of registers, and keys and values are
//! read sequentially. A task is one head of keys with some of the blocks of its queries; the number of tasks does not
//! depend on the number of threads.

mod backward;
mod block;
mod cached_attention;
mod forward;
mod kernels;
mod pack;
pub(super) mod packed;
mod relative;
mod single_query;

use std::ops::Range;

pub(super) use self::backward::{AttentionGradients, SavedForward, backward};
pub(super) use self::block::Sizes;
pub(in crate::nn::ops) use self::cached_attention::cached_attention;
pub(super) use self::forward::forward;

/// The least number of tasks, as far as there are blocks: enough for the cores of a desktop, few enough that copying
/// keys does not cost.
const TASKS: usize = 16;
/// Scores are exponents of 2, since the exponential is computed as `2^x`.
const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// q (batch, time, heads, dim), k and v (batch, keys, kv_heads, dim).
#[derive(Clone, Copy)]
pub(super) struct AttentionInputs<'a> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
    /// Added to the scores, by distance: (time + keys − 1, heads).
    pub(super) bias: Option<&'a [f32]>,
    /// Vectors whose products with the queries are added before scaling, by distance: (time + keys − 1, 1 or heads, dim).
    pub(super) relative: Option<&'a [f32]>,
    /// The keys of each row that are not padding; all where it is `None`.
    pub(super) visible: Option<&'a [Range<usize>]>,
}

impl AttentionInputs<'_> {
    /// Heads that have vectors of their own.
    fn relative_heads(&self, s: &Sizes) -> usize {
        self.relative.map_or(0, <[f32]>::len).checked_div(s.distances() * s.dim).unwrap_or(0).max(1)
    }

    fn visible(&self, s: &Sizes, b: usize) -> Range<usize> {
        self.visible.map_or(0..s.keys, |rows| rows[b].clone())
    }

    /// The bias of a head from the greatest distance down, in powers of two, padded for lanes without a query.
    fn reversed_bias<'b>(&self, s: &Sizes, h: usize, scratch: &'b mut pack::Scratch) -> Option<&'b [f32]> {
        let bias = self.bias?;
        let reversed = scratch.zeros(bias_length(s));
        for (to, from) in reversed.iter_mut().zip(bias.chunks_exact(s.heads).rev()) {
            *to = from[h] * LOG2_E;
        }
        Some(reversed)
    }
}

/// The length of a reversed bias, including lanes beyond the last query.
fn bias_length(s: &Sizes) -> usize {
    s.blocks() * kernels::WIDE + s.keys
}

/// Some blocks of the queries that share one head of keys.
#[derive(Clone, Copy)]
struct HeadTask {
    b: usize,
    kv: usize,
    part: usize,
    parts: usize,
}

impl HeadTask {
    /// The number of parts into which the blocks of a head of keys are split.
    fn parts(s: &Sizes) -> usize {
        TASKS.div_ceil((s.batch * s.kv_heads).max(1)).min(s.blocks().max(1))
    }

    fn count(s: &Sizes) -> usize {
        s.batch * s.kv_heads * Self::parts(s)
    }

    fn new(s: &Sizes, index: usize) -> Self {
        let parts = Self::parts(s);
        let owner = index / parts;
        Self { b: owner / s.kv_heads, kv: owner % s.kv_heads, part: index % parts, parts }
    }

    /// The heads of queries.
    fn heads(self, s: &Sizes) -> Range<usize> {
        let group = s.heads / s.kv_heads;
        self.kv * group..(self.kv + 1) * group
    }

    /// Its blocks in each head: those of all parts alternate, since later ones see more keys.
    fn blocks(self, s: &Sizes) -> impl Iterator<Item = usize> {
        (self.part..s.blocks()).step_by(self.parts)
    }
}
