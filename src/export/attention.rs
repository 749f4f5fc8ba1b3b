//! Attention as nodes, with the layout of `transformers`: heads before positions.

use super::graph::{GraphValue, OnnxGraph};
use super::layers::{LayerStorage, linear};
use super::messages::NodeAttribute;
use super::positions::{Rotation, Skew};
use crate::error::{Error, Result};
use crate::nn::core::{Attention, Projections};

/// What the attentions of a stack share.
#[derive(Debug)]
pub(super) struct AttentionFrame {
    /// Added to scores: (1 or batch, 1, time, keys).
    pub(super) mask: Option<GraphValue>,
    /// Biases by distance, added to scores: (1, heads, time, keys).
    pub(super) bias: Option<GraphValue>,
    /// How queries and keys are rotated, if they are.
    pub(super) rotation: Option<Rotation>,
    /// Where vectors by distance go, if there are some.
    pub(super) skew: Option<Skew>,
}

/// Keys and values: each (batch, kv_heads, keys, dim).
#[derive(Debug, Clone)]
pub(super) struct KeysValues {
    pub(super) k: GraphValue,
    pub(super) v: GraphValue,
}

/// Self-attention: x (batch, time, hidden) -> the same shape, and the keys and values, those of the cache in front.
pub(super) fn itself(
    graph: &mut OnnxGraph,
    attention: &Attention,
    x: &GraphValue,
    cache: Option<&KeysValues>,
    (frame, storage): (&AttentionFrame, &LayerStorage),
) -> (GraphValue, KeysValues) {
    let [q, k, v] = match &attention.projections {
        Projections::Separate { q, k, v } => [q, k, v].map(|layer| linear(graph, layer, x, storage)),
        Projections::Fused(all) => {
            let all = linear(graph, all, x, storage);
            let (queries, keys) = (attention.heads * attention.head_dim, attention.kv_heads * attention.head_dim);
            let widths = graph.ints(&[queries as i64, keys as i64, keys as i64]);
            graph.ops("Split", &[&all, &widths], &[NodeAttribute::Int("axis", -1)])
        }
    };
    let (mut q, mut k) =
        (split(graph, attention, &q, attention.heads), split(graph, attention, &k, attention.kv_heads));
    let mut v = split(graph, attention, &v, attention.kv_heads);
    if let Some(rotation) = &frame.rotation {
        (q, k) = (rotation.of(graph, &q), rotation.of(graph, &k));
    }
    if let Some(cache) = cache {
        let time = [NodeAttribute::Int("axis", 2)];
        k = graph.op_with("Concat", &[&cache.k, &k], &time);
        v = graph.op_with("Concat", &[&cache.v, &v], &time);
    }
    let all = KeysValues { k, v };
    (attended(graph, attention, &q, &all, (frame, storage)), all)
}

/// Attention to what the encoder made: x (batch, time, hidden) -> the same shape.
///
/// # Errors
/// A family whose queries, keys and values are one layer.
pub(super) fn cross(
    graph: &mut OnnxGraph,
    attention: &Attention,
    x: &GraphValue,
    encoded: &KeysValues,
    (frame, storage): (&AttentionFrame, &LayerStorage),
) -> Result<GraphValue> {
    let Projections::Separate { q, .. } = &attention.projections else { return Err(fused()) };
    let q = linear(graph, q, x, storage);
    let q = split(graph, attention, &q, attention.heads);
    Ok(attended(graph, attention, &q, encoded, (frame, storage)))
}

/// Keys and values of what the encoder made: (batch, source, hidden).
///
/// # Errors
/// See [`cross`].
pub(super) fn keys_values(
    graph: &mut OnnxGraph,
    attention: &Attention,
    states: &GraphValue,
    storage: &LayerStorage,
) -> Result<KeysValues> {
    let Projections::Separate { k, v, .. } = &attention.projections else { return Err(fused()) };
    let (k, v) = (linear(graph, k, states, storage), linear(graph, v, states, storage));
    Ok(KeysValues {
        k: split(graph, attention, &k, attention.kv_heads),
        v: split(graph, attention, &v, attention.kv_heads),
    })
}

/// x (batch, time, heads · dim) -> (batch, heads, time, dim)
fn split(graph: &mut OnnxGraph, attention: &Attention, x: &GraphValue, heads: usize) -> GraphValue {
    let x = graph.reshape(x, &[0, 0, heads as i64, attention.head_dim as i64]); // (batch, time, heads, dim)
    graph.transpose(&x, &[0, 2, 1, 3])
}

/// softmax(scale · q (k + e)ᵀ + bias + mask) v, and the layer behind it; q (batch, heads, time, dim).
fn attended(
    graph: &mut OnnxGraph,
    attention: &Attention,
    q: &GraphValue,
    given: &KeysValues,
    (frame, storage): (&AttentionFrame, &LayerStorage),
) -> GraphValue {
    let (heads, dim, shared) = (attention.heads, attention.head_dim, attention.heads / attention.kv_heads);
    let mut q = q.clone();
    if attention.scale != 1.0 {
        let scale = graph.float(attention.scale);
        q = graph.op("Mul", &[&q, &scale]);
    }
    let KeysValues { k, v } = given;
    let k = graph.transpose(k, &[0, 1, 3, 2]); // (batch, kv_heads, dim, keys)
    let mut scores = if shared > 1 {
        // Each key serves the queries of several heads, one after the other.
        let grouped = graph.reshape(&q, &[0, attention.kv_heads as i64, -1, dim as i64]); // (batch, kv_heads, shared · time, dim)
        let scores = graph.op("MatMul", &[&grouped, &k]);
        by_head(graph, &scores, &q, heads)
    } else {
        graph.op("MatMul", &[&q, &k])
    }; // (batch, heads, time, keys)
    if let (Some(vectors), Some(skew)) = (&attention.vectors, &frame.skew) {
        let products = skew.products(graph, vectors, (heads, dim), &q);
        scores = graph.op("Add", &[&scores, &products]);
    }
    for added in [&frame.bias, &frame.mask].into_iter().flatten() {
        scores = graph.op("Add", &[&scores, added]);
    }
    let shares = graph.op_with("Softmax", &[&scores], &[NodeAttribute::Int("axis", -1)]);
    let y = if shared > 1 {
        let grouped = by_key(graph, &shares, attention.kv_heads, v);
        let y = graph.op("MatMul", &[&grouped, v]);
        by_head(graph, &y, &q, heads)
    } else {
        graph.op("MatMul", &[&shares, v])
    };
    let y = graph.transpose(&y, &[0, 2, 1, 3]); // (batch, time, heads, dim)
    let y = graph.reshape(&y, &[0, 0, (heads * dim) as i64]);
    linear(graph, &attention.output, &y, storage)
}

/// x (batch, kv_heads, shared · time, n) -> (batch, heads, time, n), with the time of q (batch, heads, time, dim).
fn by_head(graph: &mut OnnxGraph, x: &GraphValue, q: &GraphValue, heads: usize) -> GraphValue {
    let (batch, heads, time, rest) =
        (graph.ints(&[0]), graph.ints(&[heads as i64]), graph.size(q, 2), graph.ints(&[-1]));
    graph.reshape_to(x, &[&batch, &heads, &time, &rest])
}

/// x (batch, heads, time, keys) -> (batch, kv_heads, shared · time, keys), with the keys of v (batch, kv_heads, keys, dim).
fn by_key(graph: &mut OnnxGraph, x: &GraphValue, kv_heads: usize, v: &GraphValue) -> GraphValue {
    let (batch, heads, rest, keys) =
        (graph.ints(&[0]), graph.ints(&[kv_heads as i64]), graph.ints(&[-1]), graph.size(v, 2));
    graph.reshape_to(x, &[&batch, &heads, &rest, &keys])
}

/// A family whose names do not fit its description.
fn fused() -> Error {
    Error::internal("one linear layer cannot make queries of one stream and keys of another")
}
