//! Layers as nodes: linear layers in f32 or 4 bits, norms, activations, feed-forwards.

use std::sync::Arc;

use candle_core::Device;

use super::graph::{GraphValue, OnnxGraph};
use super::graph_tensor::bytes_of;
use super::messages::{ElementType, NodeAttribute};
use crate::nn::Dtype;
use crate::nn::core::{Linear, Matrix, Mlp, Norm, Weight};
use crate::nn::ops::Activation;
use crate::nn::quant::Nf4;

/// How layers are stored.
#[derive(Debug, Clone)]
pub(super) struct LayerStorage {
    /// Whether 4-bit layers stay so; otherwise they are dequantised.
    pub(super) quantized: bool,
    /// Where the weights are.
    pub(super) device: Device,
}

/// A weight as it is.
pub(super) fn weight(graph: &mut OnnxGraph, weight: &Weight) -> GraphValue {
    let values = weight.detached();
    graph.stored(weight.name(), ElementType::F32, weight.dims(), move || bytes_of(&values))
}

/// x (…, in) -> (…, out), the adapter added to the weight.
pub(super) fn linear(graph: &mut OnnxGraph, layer: &Linear, x: &GraphValue, storage: &LayerStorage) -> GraphValue {
    let y = match &layer.matrix {
        Matrix::Nf4(codes) if storage.quantized => matmul_bnb4(graph, &layer.name, codes, x),
        _ => {
            let (out, wide) = layer.shape;
            let (layer, device) = (layer.clone(), storage.device.clone());
            let name = format!("{}.weight", layer.name);
            // As (in, out): MatMul does not transpose.
            let data = move || bytes_of(&layer.merged(&device)?.t()?.contiguous()?);
            let matrix = graph.stored(&name, ElementType::F32, &[wide, out], data);
            graph.op("MatMul", &[x, &matrix])
        }
    };
    match &layer.bias {
        Some(bias) => {
            let bias = weight(graph, bias);
            graph.op("Add", &[&y, &bias])
        }
        None => y,
    }
}

/// ONNX Runtime's product with a 4-bit matrix (docs/ContribOperators.md, `com.microsoft.MatMulBnb4`): B holds the codes of
/// (out, in), two a byte, the first in the high half, as bitsandbytes packs them, and `absmax` a scale for each block in f32,
/// so that the scales are no longer quantised themselves.
fn matmul_bnb4(graph: &mut OnnxGraph, name: &str, codes: &Arc<Nf4>, x: &GraphValue) -> GraphValue {
    let ((out, wide), bytes) = (codes.shape, codes.codes.len());
    let packed = codes.clone();
    let b = graph.stored(&format!("{name}.weight"), ElementType::U8, &[bytes], move || Ok(packed.codes.clone()));
    let scaled = codes.clone();
    let data = move || Ok(Dtype::F32.encode(&scaled.block_scales()));
    let blocks = (out * wide).div_ceil(Nf4::BLOCK);
    let absmax = graph.stored(&format!("{name}.weight.absmax"), ElementType::F32, &[blocks], data);
    /// `quant_type`: 0 is FP4.
    const NF4: i64 = 1;
    let attributes = [
        NodeAttribute::Int("K", wide as i64),
        NodeAttribute::Int("N", out as i64),
        NodeAttribute::Int("block_size", Nf4::BLOCK as i64),
        NodeAttribute::Int("quant_type", NF4),
    ];
    graph.op_with("com.microsoft::MatMulBnb4", &[x, &b, &absmax], &attributes)
}

/// x (…, hidden) -> (…, hidden)
pub(super) fn norm(graph: &mut OnnxGraph, norm: &Norm, x: &GraphValue) -> GraphValue {
    match norm {
        Norm::Rms { weight: scale, eps } => {
            let (last, eps, scale) = (graph.ints(&[-1]), graph.float(*eps as f32), weight(graph, scale));
            let squares = graph.op("Mul", &[x, x]);
            let mean = graph.op("ReduceMean", &[&squares, &last]);
            let above = graph.op("Add", &[&mean, &eps]);
            let root = graph.op("Sqrt", &[&above]);
            let normed = graph.op("Div", &[x, &root]);
            graph.op("Mul", &[&normed, &scale])
        }
        Norm::Layer { weight: scale, bias, eps } => {
            let (scale, bias) = (weight(graph, scale), weight(graph, bias));
            let attributes = [NodeAttribute::Int("axis", -1), NodeAttribute::Float("epsilon", *eps as f32)];
            graph.op_with("LayerNormalization", &[x, &scale, &bias], &attributes)
        }
    }
}

/// x (…, hidden) -> (…, hidden)
pub(super) fn mlp(graph: &mut OnnxGraph, mlp: &Mlp, x: &GraphValue, storage: &LayerStorage) -> GraphValue {
    match mlp {
        Mlp::Plain { up, down, activation } => {
            let inner = linear(graph, up, x, storage);
            let inner = activated(graph, *activation, &inner);
            linear(graph, down, &inner, storage)
        }
        Mlp::Gated { gate, up, down, activation } => {
            let (gate, up) = (linear(graph, gate, x, storage), linear(graph, up, x, storage));
            let gate = activated(graph, *activation, &gate);
            let inner = graph.op("Mul", &[&gate, &up]);
            linear(graph, down, &inner, storage)
        }
    }
}

/// f(x), by the formulas of [`Activation`].
fn activated(graph: &mut OnnxGraph, activation: Activation, x: &GraphValue) -> GraphValue {
    match activation {
        Activation::Relu => graph.op("Relu", &[x]),
        Activation::Silu => {
            let share = graph.op("Sigmoid", &[x]);
            graph.op("Mul", &[x, &share])
        }
        Activation::Gelu => {
            let root = graph.float(std::f32::consts::FRAC_1_SQRT_2);
            let scaled = graph.op("Mul", &[x, &root]);
            let curve = graph.op("Erf", &[&scaled]);
            half_of_product(graph, x, &curve)
        }
        Activation::GeluTanh => {
            let (cubic, root) = (graph.float(0.044_715), graph.float((2.0 / std::f32::consts::PI).sqrt()));
            let square = graph.op("Mul", &[x, x]);
            let cube = graph.op("Mul", &[&square, x]);
            let cube = graph.op("Mul", &[&cube, &cubic]);
            let sum = graph.op("Add", &[x, &cube]);
            let scaled = graph.op("Mul", &[&sum, &root]);
            let curve = graph.op("Tanh", &[&scaled]);
            half_of_product(graph, x, &curve)
        }
    }
}

/// x (1 + curve) / 2
fn half_of_product(graph: &mut OnnxGraph, x: &GraphValue, curve: &GraphValue) -> GraphValue {
    let (one, half) = (graph.float(1.0), graph.float(0.5));
    let above = graph.op("Add", &[curve, &one]);
    let product = graph.op("Mul", &[x, &above]);
    graph.op("Mul", &[&product, &half])
}
