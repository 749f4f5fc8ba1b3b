//! The graphs of a model: a decoder with its cache, and an encoder, with the names that Hugging Face's optimum gives inputs and
//! outputs.

use super::attention::{self, AttentionFrame, KeysValues};
use super::graph::{GraphValue, OnnxGraph};
use super::layers::{self, LayerStorage};
use super::messages::AxisSize::{Fixed, Named};
use super::messages::{AxisSize, ElementType};
use super::positions::{self, Rotation, Skew, Span};
use crate::error::{Error, Result};
use crate::nn::core::{Attention, Block, Head, Stack, Transformer};
use crate::nn::{AttentionKind, Positions, StackSpec};

const BATCH: AxisSize<'static> = Named("batch_size");
const TIME: AxisSize<'static> = Named("sequence_length");
const PAST: AxisSize<'static> = Named("past_sequence_length");
const TOTAL: AxisSize<'static> = Named("past_sequence_length + sequence_length");
const SOURCE: AxisSize<'static> = Named("encoder_sequence_length");

/// Exports one model.
#[derive(Debug)]
pub(super) struct Networks<'a> {
    pub(super) core: &'a Transformer,
    pub(super) storage: LayerStorage,
}

impl Networks<'_> {
    /// `input_ids`, `attention_mask`, `position_ids` where positions have numbers, and the cache -> `logits` and the cache.
    ///
    /// # Errors
    /// A decoder whose parts do not fit its description.
    pub(super) fn decoder(&self) -> Result<OnnxGraph> {
        let (stack, spec) = (&self.core.decoder, &self.core.spec.decoder);
        let mut graph = OnnxGraph::default();
        let ids = graph.input("input_ids", ElementType::I64, &[BATCH, TIME]);
        let mask = graph.input("attention_mask", ElementType::I64, &[BATCH, TOTAL]);
        let places = numbered(spec).then(|| graph.input("position_ids", ElementType::I64, &[BATCH, TIME]));
        let cache = past(&mut graph, spec, "", PAST);
        let span = span_after(&mut graph, &ids, cache.first());
        let seen = self.visible_so_far(&mut graph, &span, Some(&mask));
        let frame = self.frame(&mut graph, stack, spec, (&span, seen, places.as_ref()))?;
        let mut x = self.embedded(&mut graph, stack, &ids, places.as_ref());
        let mut present = Vec::new();
        for (block, cache) in stack.blocks.iter().zip(&cache) {
            let (y, keys_values) = self.attended(&mut graph, block, &x, Some(cache), &frame);
            x = self.fed_forward(&mut graph, block, &y);
            present.push(keys_values);
        }
        self.logits(&mut graph, &x);
        give(&mut graph, spec, "", TOTAL, &present);
        Ok(graph)
    }

    /// `input_ids` and `attention_mask` -> `last_hidden_state`.
    ///
    /// # Errors
    /// A model without an encoder.
    pub(super) fn encoder(&self) -> Result<OnnxGraph> {
        let (Some(stack), Some(spec)) = (&self.core.encoder, &self.core.spec.encoder) else {
            return Err(Error::internal("the model has no encoder"));
        };
        let axes = [BATCH, SOURCE];
        let mut graph = OnnxGraph::default();
        let ids = graph.input("input_ids", ElementType::I64, &axes);
        let mask = graph.input("attention_mask", ElementType::I64, &axes);
        let length = graph.size(&ids, 1);
        let span = Span::new(&mut graph, length.clone(), length);
        let seen = positions::visible(&mut graph, &mask);
        // The numbers of places, where the stack needs them, count from 0.
        let places = numbered(spec).then(|| {
            let zero = graph.ints(&[0]);
            let row = graph.range(&zero, &span.keys);
            graph.unsqueeze(&row, &[0])
        });
        let frame = self.frame(&mut graph, stack, spec, (&span, seen, places.as_ref()))?;
        let mut x = self.embedded(&mut graph, stack, &ids, places.as_ref());
        for block in &stack.blocks {
            let (y, _) = self.attended(&mut graph, block, &x, None, &frame);
            x = self.fed_forward(&mut graph, block, &y);
        }
        let states = layers::norm(&mut graph, &stack.norm, &x);
        graph.output("last_hidden_state", &states, &[BATCH, SOURCE, Fixed(spec.hidden_size)]);
        Ok(graph)
    }

    /// `input_ids`, what the encoder made with its mask, the cache and `use_cache_branch` -> `logits` and the cache. Without
    /// `use_cache_branch` the cache that is given counts as empty, and keys and values of the encoder's output are made;
    /// with it they are those of the cache.
    ///
    /// # Errors
    /// See [`Networks::decoder`].
    pub(super) fn decoder_with_cross_attention(&self) -> Result<OnnxGraph> {
        let (stack, spec) = (&self.core.decoder, &self.core.spec.decoder);
        let mut graph = OnnxGraph::default();
        let source_mask = graph.input("encoder_attention_mask", ElementType::I64, &[BATCH, SOURCE]);
        let ids = graph.input("input_ids", ElementType::I64, &[BATCH, TIME]);
        let hidden = Fixed(spec.hidden_size);
        let states = graph.input("encoder_hidden_states", ElementType::F32, &[BATCH, SOURCE, hidden]);
        let (own, encoded) = (past(&mut graph, spec, ".decoder", PAST), past(&mut graph, spec, ".encoder", SOURCE));
        let reuse = graph.input("use_cache_branch", ElementType::Bool, &[Fixed(1)]);
        let (own, encoded) = self.chosen_cache(&mut graph, &reuse, &states, (own, encoded))?;
        let span = span_after(&mut graph, &ids, own.first());
        let seen = self.visible_so_far(&mut graph, &span, None);
        // No family with an encoder has positions with numbers; one that did would count on from the cache.
        let places = numbered(spec).then(|| {
            let first = graph.op("Sub", &[&span.keys, &span.time]);
            let row = graph.range(&first, &span.keys);
            graph.unsqueeze(&row, &[0])
        });
        let frame = self.frame(&mut graph, stack, spec, (&span, seen, places.as_ref()))?;
        let seen = positions::visible(&mut graph, &source_mask);
        let mask = Some(positions::added(&mut graph, &seen));
        let cross_frame = AttentionFrame { mask, bias: None, rotation: None, skew: None };
        let mut x = self.embedded(&mut graph, stack, &ids, places.as_ref());
        let mut present = Vec::new();
        for (block, (own, encoded)) in stack.blocks.iter().zip(own.iter().zip(&encoded)) {
            let (y, keys_values) = self.attended(&mut graph, block, &x, Some(own), &frame);
            present.push(keys_values);
            let cross = block.cross.as_ref().ok_or_else(no_cross)?;
            let normed = layers::norm(&mut graph, &cross.norm, &y);
            let more = attention::cross(&mut graph, &cross.attention, &normed, encoded, (&cross_frame, &self.storage))?;
            let y = graph.op("Add", &[&y, &more]);
            x = self.fed_forward(&mut graph, block, &y);
        }
        self.logits(&mut graph, &x);
        give(&mut graph, spec, ".decoder", TOTAL, &present);
        give(&mut graph, spec, ".encoder", SOURCE, &encoded);
        Ok(graph)
    }

    /// The cache as it is, or an empty one and keys and values of the encoder's output.
    fn chosen_cache(
        &self,
        graph: &mut OnnxGraph,
        reuse: &GraphValue,
        states: &GraphValue,
        (own, encoded): (Vec<KeysValues>, Vec<KeysValues>),
    ) -> Result<(Vec<KeysValues>, Vec<KeysValues>)> {
        let blocks = own.len();
        let flat = |all: &[KeysValues]| -> Vec<GraphValue> {
            all.iter().flat_map(|one| [one.k.clone(), one.v.clone()]).collect()
        };
        let kept = [flat(&own), flat(&encoded)].concat();
        let fresh = |graph: &mut OnnxGraph| {
            let (zero, keys) = (graph.ints(&[0]), graph.ints(&[2]));
            let mut values: Vec<_> =
                flat(&own).iter().map(|value| graph.op("Slice", &[value, &zero, &zero, &keys])).collect();
            for block in &self.core.decoder.blocks {
                let cross = block.cross.as_ref().ok_or_else(no_cross)?;
                let made = attention::keys_values(graph, &cross.attention, states, &self.storage)?;
                values.extend([made.k, made.v]);
            }
            Ok(values)
        };
        let values = graph.either(reuse, |_| Ok(kept), fresh)?;
        let pairs = |values: &[GraphValue]| -> Vec<KeysValues> {
            values.chunks_exact(2).map(|pair| KeysValues { k: pair[0].clone(), v: pair[1].clone() }).collect()
        };
        Ok((pairs(&values[..2 * blocks]), pairs(&values[2 * blocks..])))
    }

    /// Which keys each query of the decoder sees.
    fn visible_so_far(&self, graph: &mut OnnxGraph, span: &Span, mask: Option<&GraphValue>) -> GraphValue {
        let causal = span.causal(graph);
        match mask {
            Some(mask) => {
                let visible = positions::visible(graph, mask);
                graph.op("And", &[&causal, &visible]) // (batch, 1, time, keys)
            }
            None => causal,
        }
    }

    /// What the blocks of a stack share.
    fn frame(
        &self,
        graph: &mut OnnxGraph,
        stack: &Stack,
        spec: &StackSpec,
        (span, seen, places): (&Span, GraphValue, Option<&GraphValue>),
    ) -> Result<AttentionFrame> {
        let causal = spec.attention == AttentionKind::Causal;
        let rotation = match (&spec.positions, places) {
            (Positions::Rotary(rotary), Some(places)) => {
                Some(Rotation::new(graph, rotary, spec.head_dim, (places, &span.keys)))
            }
            (Positions::Rotary(_), None) => return Err(Error::internal("rotary positions need numbers")),
            _ => None,
        };
        let skew = match spec.positions {
            Positions::Relative { max_distance } => Some(Skew::new(graph, max_distance, causal, span)),
            _ => None,
        };
        Ok(AttentionFrame {
            mask: Some(positions::added(graph, &seen)),
            bias: stack.relative.as_ref().map(|relative| positions::bias(graph, relative, span)),
            rotation,
            skew,
        })
    }

    /// Ids (batch, time) -> (batch, time, hidden), with learned positions if there are some.
    fn embedded(
        &self,
        graph: &mut OnnxGraph,
        stack: &Stack,
        ids: &GraphValue,
        places: Option<&GraphValue>,
    ) -> GraphValue {
        let table = layers::weight(graph, &self.core.embedding);
        let x = graph.op("Gather", &[&table, ids]);
        match (&stack.positions, places) {
            (Some(learned), Some(places)) => {
                let learned = layers::weight(graph, learned);
                let learned = graph.op("Gather", &[&learned, places]);
                graph.op("Add", &[&x, &learned])
            }
            _ => x,
        }
    }

    /// The stream with self-attention added, and its keys and values.
    fn attended(
        &self,
        graph: &mut OnnxGraph,
        block: &Block,
        x: &GraphValue,
        cache: Option<&KeysValues>,
        frame: &AttentionFrame,
    ) -> (GraphValue, KeysValues) {
        let normed = layers::norm(graph, &block.attention_norm, x);
        let own: &Attention = &block.attention;
        let (y, keys_values) = attention::itself(graph, own, &normed, cache, (frame, &self.storage));
        (graph.op("Add", &[x, &y]), keys_values)
    }

    /// The stream with the feed-forward added.
    fn fed_forward(&self, graph: &mut OnnxGraph, block: &Block, x: &GraphValue) -> GraphValue {
        let normed = layers::norm(graph, &block.mlp_norm, x);
        let y = layers::mlp(graph, &block.mlp, &normed, &self.storage);
        graph.op("Add", &[x, &y])
    }

    /// The head: x (batch, time, hidden) -> `logits` (batch, time, vocabulary).
    fn logits(&self, graph: &mut OnnxGraph, x: &GraphValue) {
        let mut x = layers::norm(graph, &self.core.decoder.norm, x);
        if let Some(factor) = self.core.spec.head_scale {
            let factor = graph.float(factor);
            x = graph.op("Mul", &[&x, &factor]);
        }
        let logits = match &self.core.head {
            Head::Tied => {
                let table = layers::weight(graph, &self.core.embedding);
                let table = graph.transpose(&table, &[1, 0]); // (hidden, vocabulary)
                graph.op("MatMul", &[&x, &table])
            }
            Head::Untied(head) => layers::linear(graph, head, &x, &self.storage),
        };
        graph.output("logits", &logits, &[BATCH, TIME, Fixed(self.core.spec.vocab_size)]);
    }
}

/// Whether positions have numbers, which the caller gives.
fn numbered(spec: &StackSpec) -> bool {
    matches!(spec.positions, Positions::Learned | Positions::Rotary(_))
}

/// The keys and values of each block that the caller hands back, each (batch, kv_heads, time, dim).
fn past(graph: &mut OnnxGraph, spec: &StackSpec, kind: &str, time: AxisSize<'_>) -> Vec<KeysValues> {
    let axes = [BATCH, Fixed(spec.kv_heads), time, Fixed(spec.head_dim)];
    let mut one = |layer: usize, part: &str| {
        graph.input(&format!("past_key_values.{layer}{kind}.{part}"), ElementType::F32, &axes)
    };
    (0..spec.layers).map(|layer| KeysValues { k: one(layer, "key"), v: one(layer, "value") }).collect()
}

/// The keys and values of each block as outputs.
fn give(graph: &mut OnnxGraph, spec: &StackSpec, kind: &str, time: AxisSize<'_>, all: &[KeysValues]) {
    let axes = [BATCH, Fixed(spec.kv_heads), time, Fixed(spec.head_dim)];
    for (layer, KeysValues { k, v }) in all.iter().enumerate() {
        graph.output(&format!("present.{layer}{kind}.key"), k, &axes);
        graph.output(&format!("present.{layer}{kind}.value"), v, &axes);
    }
}

/// Where ids stand that follow a cache.
fn span_after(graph: &mut OnnxGraph, ids: &GraphValue, cache: Option<&KeysValues>) -> Span {
    let time = graph.size(ids, 1);
    let keys = match cache {
        Some(cache) => {
            let held = graph.size(&cache.k, 2);
            graph.op("Add", &[&held, &time])
        }
        None => time.clone(),
    };
    Span::new(graph, time, keys)
}

fn no_cross() -> Error {
    Error::internal("a block of the decoder does not attend to the encoder")
}
