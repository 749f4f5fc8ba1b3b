//! What tells positions apart: masks, rotations, biases and vectors by distance.

use super::graph::{GraphValue, OnnxGraph};
use super::layers;
use super::messages::{ElementType, NodeAttribute};
use crate::nn::Dtype;
use crate::nn::core::{RelativeBias, RelativeVectors};
use crate::nn::ops::{RopeScaling, Rotary};

/// Added to the scores of keys that are not seen. A sum of it and any score is finite, so that a row of padding, which sees
/// nothing, is no NaN.
const HIDDEN: f32 = -1e30;

/// Where the queries and keys of a call stand.
#[derive(Debug)]
pub(super) struct Span {
    /// Number of queries, in a vector of one.
    pub(super) time: GraphValue,
    /// Number of keys, in a vector of one.
    pub(super) keys: GraphValue,
    /// Index of each query among the keys: (time, 1).
    queries: GraphValue,
    /// Index of each key: (1, keys).
    columns: GraphValue,
}

impl Span {
    /// That of `time` queries, the last of `keys` keys.
    pub(super) fn new(graph: &mut OnnxGraph, time: GraphValue, keys: GraphValue) -> Self {
        let zero = graph.ints(&[0]);
        let first = graph.op("Sub", &[&keys, &time]);
        let (queries, columns) = (graph.range(&first, &keys), graph.range(&zero, &keys));
        let (queries, columns) = (graph.unsqueeze(&queries, &[1]), graph.unsqueeze(&columns, &[0]));
        Self { time, keys, queries, columns }
    }

    /// Whether each query sees each key, the last of which is its own: bool (time, keys).
    pub(super) fn causal(&self, graph: &mut OnnxGraph) -> GraphValue {
        graph.op("LessOrEqual", &[&self.columns, &self.queries])
    }

    /// How far each key is behind each query: (time, keys).
    fn distances(&self, graph: &mut OnnxGraph) -> GraphValue {
        graph.op("Sub", &[&self.columns, &self.queries])
    }
}

/// A mask (batch, keys) of 1 where a key may be seen, as bool (batch, 1, 1, keys).
pub(super) fn visible(graph: &mut OnnxGraph, mask: &GraphValue) -> GraphValue {
    let zero = graph.int(0);
    let seen = graph.op("Greater", &[mask, &zero]);
    graph.unsqueeze(&seen, &[1, 2])
}

/// What is added to scores: 0 where `seen`, else [`HIDDEN`].
pub(super) fn added(graph: &mut OnnxGraph, seen: &GraphValue) -> GraphValue {
    let (zero, hidden) = (graph.float(0.0), graph.float(HIDDEN));
    graph.op("Where", &[seen, &zero, &hidden])
}

/// Cosines and sines of the angles of positions, each (batch, 1, time, dim / 2).
#[derive(Debug)]
pub(super) struct Rotation {
    cos: GraphValue,
    sin: GraphValue,
    half: usize,
}

impl Rotation {
    /// That of heads of `dim` at `positions` (batch, time), of which there are as many as `keys` says at most.
    pub(super) fn new(
        graph: &mut OnnxGraph,
        rotary: &Rotary,
        dim: usize,
        (positions, keys): (&GraphValue, &GraphValue),
    ) -> Self {
        let half = dim / 2;
        let plain = rotary.frequencies(dim, 0);
        let mut frequencies = floats(graph, "rotary_frequencies", plain);
        if let (RopeScaling::Dynamic { factor, original }, true) = (rotary.scaling, dim > 2) {
            // θ · s^(dim / (dim − 2)) with s = factor · length / original − (factor − 1), where the length is beyond `original`;
            // the i-th frequency is then divided by s^(2i / (dim − 2)).
            let exponents = (0..half).map(|i| -((2 * i) as f32) / (dim - 2) as f32).collect();
            let exponents = floats(graph, "rotary_exponents", exponents);
            let (original_length, per_position) =
                (graph.int(original as i64), graph.float((factor / original as f64) as f32));
            let offset = graph.float((factor - 1.0) as f32);
            let length = graph.op("Max", &[keys, &original_length]);
            let length = cast_f32(graph, &length);
            let stretched = graph.op("Mul", &[&length, &per_position]);
            let stretched = graph.op("Sub", &[&stretched, &offset]);
            let powers = graph.op("Pow", &[&stretched, &exponents]);
            frequencies = graph.op("Mul", &[&frequencies, &powers]);
        }
        let places = cast_f32(graph, positions);
        let places = graph.unsqueeze(&places, &[1, 3]); // (batch, 1, time, 1)
        let angles = graph.op("Mul", &[&places, &frequencies]); // (batch, 1, time, dim / 2)
        let factor = graph.float(rotary.attention_factor());
        let [cos, sin] = ["Cos", "Sin"].map(|function| {
            let values = graph.op(function, &[&angles]);
            if rotary.attention_factor() == 1.0 { values } else { graph.op("Mul", &[&values, &factor]) }
        });
        Self { cos, sin, half }
    }

    /// x (batch, heads, time, dim), its halves as pairs rotated.
    pub(super) fn of(&self, graph: &mut OnnxGraph, x: &GraphValue) -> GraphValue {
        let halves = graph.ints(&[self.half as i64; 2]);
        let [a, b] = graph.ops("Split", &[x, &halves], &[NodeAttribute::Int("axis", 3)]);
        let (a_cos, b_sin) = (graph.op("Mul", &[&a, &self.cos]), graph.op("Mul", &[&b, &self.sin]));
        let (b_cos, a_sin) = (graph.op("Mul", &[&b, &self.cos]), graph.op("Mul", &[&a, &self.sin]));
        let (left, right) = (graph.op("Sub", &[&a_cos, &b_sin]), graph.op("Add", &[&b_cos, &a_sin]));
        graph.op_with("Concat", &[&left, &right], &[NodeAttribute::Int("axis", 3)])
    }
}

/// T5's biases of scores: (1, heads, time, keys).
pub(super) fn bias(graph: &mut OnnxGraph, relative: &RelativeBias, span: &Span) -> GraphValue {
    let farthest = relative.buckets.relative_attention_max_distance as i64;
    let table = layers::weight(graph, &relative.table);
    let buckets: Vec<i64> =
        (-farthest..=farthest).map(|distance| i64::from(relative.buckets.bucket(distance))).collect();
    let buckets = graph.named_ints(&format!("{}.buckets", relative.table.name()), &buckets);
    let distances = span.distances(graph);
    let rows = clipped(graph, &distances, -farthest, farthest);
    let shift = graph.int(farthest);
    let rows = graph.op("Add", &[&rows, &shift]);
    let rows = graph.op("Gather", &[&buckets, &rows]);
    let biases = graph.op("Gather", &[&table, &rows]); // (time, keys, heads)
    let biases = graph.transpose(&biases, &[2, 0, 1]);
    graph.unsqueeze(&biases, &[0])
}

/// What the blocks of a stack share of the products of queries with vectors by distance (Huang et al. 2018): the rows of their
/// tables, and the skewing that brings products by distance to the places of keys.
#[derive(Debug)]
pub(super) struct Skew {
    /// The row of each distance from the farthest key before the last query to the farthest behind the first.
    rows: GraphValue,
    /// Bounds of what is cut out of the flattened products, and their shape then.
    from: GraphValue,
    to: GraphValue,
    shape: GraphValue,
    keys: GraphValue,
}

impl Skew {
    /// That of a stack whose tables have `max_distance` rows in one direction.
    pub(super) fn new(graph: &mut OnnxGraph, max_distance: usize, causal: bool, span: &Span) -> Self {
        let farthest = max_distance as i64 - 1;
        let one = graph.ints(&[1]);
        // Entry e is for keys e − (time − 1) places behind the query, counted from its own index.
        let lowest = graph.op("Sub", &[&one, &span.keys]);
        let distances = graph.range(&lowest, &span.time);
        let rows = if causal {
            let before = graph.op("Neg", &[&distances]);
            clipped(graph, &before, 0, farthest)
        } else {
            let near = clipped(graph, &distances, -farthest, farthest);
            let shift = graph.int(farthest);
            graph.op("Add", &[&near, &shift])
        };
        // With a column appended, rows of time + keys values begin one place earlier each when they are read as shorter by one.
        let from = graph.op("Sub", &[&span.time, &one]);
        let entries = graph.op("Add", &[&from, &span.keys]);
        let count = graph.op("Mul", &[&span.time, &entries]);
        let to = graph.op("Add", &[&from, &count]);
        let (kept, rest) = (graph.ints(&[0, 0]), graph.ints(&[-1]));
        let axis = [NodeAttribute::Int("axis", 0)];
        let shape = graph.op_with("Concat", &[&kept, &span.time, &rest], &axis);
        Self { rows, from, to, shape, keys: span.keys.clone() }
    }

    /// q (batch, heads, time, dim) -> (batch, heads, time, keys), to be added to its products with the keys.
    pub(super) fn products(
        &self,
        graph: &mut OnnxGraph,
        vectors: &RelativeVectors,
        (heads, dim): (usize, usize),
        q: &GraphValue,
    ) -> GraphValue {
        let table = layers::weight(graph, &vectors.table);
        let rows = graph.op("Gather", &[&table, &self.rows]); // (entries, heads · dim)
        let rows = graph.reshape(&rows, &[-1, heads as i64, dim as i64]);
        let rows = graph.transpose(&rows, &[1, 2, 0]); // (heads, dim, entries)
        let products = graph.op("MatMul", &[q, &rows]); // (batch, heads, time, entries)
        let column = graph.ints(&[0, 0, 0, 0, 0, 0, 0, 1]);
        let padded = graph.op("Pad", &[&products, &column]);
        let flat = graph.reshape(&padded, &[0, 0, -1]);
        let (second, last, zero) = (graph.ints(&[2]), graph.ints(&[3]), graph.ints(&[0]));
        let cut = graph.op("Slice", &[&flat, &self.from, &self.to, &second]);
        let skewed = graph.op("Reshape", &[&cut, &self.shape]);
        graph.op("Slice", &[&skewed, &zero, &self.keys, &last])
    }
}

fn clipped(graph: &mut OnnxGraph, x: &GraphValue, least: i64, most: i64) -> GraphValue {
    let (least, most) = (graph.int(least), graph.int(most));
    graph.op("Clip", &[x, &least, &most])
}

fn cast_f32(graph: &mut OnnxGraph, x: &GraphValue) -> GraphValue {
    graph.op_with("Cast", &[x], &[NodeAttribute::Int("to", ElementType::F32 as i64)])
}

fn floats(graph: &mut OnnxGraph, name: &str, values: Vec<f32>) -> GraphValue {
    let count = values.len();
    let data = move || Ok(Dtype::F32.encode(&values));
    graph.stored(name, ElementType::F32, &[count], data)
}
