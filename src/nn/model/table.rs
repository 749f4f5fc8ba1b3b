//! The layers of a model as a table, and its trainable parameters.

use candle_core::Var;

use super::Model;
use crate::nn::core::{Head, Linear, Matrix, Part, Weight};
use crate::nn::families;

/// A trainable tensor with its Hugging Face name.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// "model.layers.0.self_attn.q_proj.weight", or as PEFT says it
    /// "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    pub name: String,
    /// The values; updated in place.
    pub var: Var,
}

impl Parameter {
    /// The name in files, which do not say which of several adapters of a model it belongs to: "….lora_A.weight" for
    /// "….lora_A.NAME.weight".
    pub fn stored_name(&self) -> String {
        let plain = |marker: &str, end: &str| {
            let (front, name) = self.name.split_once(&format!("{marker}."))?;
            name.strip_suffix(end).filter(|name| !name.contains('.')).map(|_| format!("{front}{marker}{end}"))
        };
        let matrices = [".lora_A", ".lora_B"].into_iter().find_map(|marker| plain(marker, ".weight"));
        let vectors =
            [".lora_magnitude_vector", ".trainable_tokens_delta"].into_iter().find_map(|marker| plain(marker, ""));
        matrices.or(vectors).unwrap_or_else(|| self.name.clone())
    }
}

/// A line of the model table.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// "model.layers.0.self_attn.q_proj"
    pub name: String,
    /// "embedding", "token_rows", "positions", "relative_bias", "rms_norm", "layer_norm", "linear", "linear nf4", "linear nf4 + lora r=8", "linear + dora r=8", "tied to model.embed_tokens"
    pub kind: String,
    /// Shape of its weight; that of a linear layer is (out, in).
    pub shape: Vec<usize>,
    /// Weights in it, adapters included.
    pub params: usize,
    /// Weights of it that train.
    pub trainable: usize,
    /// Bytes it holds.
    pub bytes: usize,
}

impl Model {
    /// Number of weights, adapters included; 4-bit weights count one each.
    pub fn params(&self) -> usize {
        self.layers().iter().map(|l| l.params).sum()
    }

    /// Number of weights that train.
    pub fn trainable(&self) -> usize {
        self.layers().iter().map(|l| l.trainable).sum()
    }

    /// Bytes of all weights.
    pub fn memory(&self) -> usize {
        self.layers().iter().map(|l| l.bytes).sum()
    }

    /// The layers, in the order of the forward pass.
    pub fn layers(&self) -> Vec<Layer> {
        let mut layers: Vec<Layer> = self.core.parts().into_iter().map(layer).collect();
        if let Head::Tied = self.core.head {
            layers.push(Layer {
                name: families::names(&self.config).head.into(),
                kind: format!("tied to {}", stem(self.core.embedding.name())),
                shape: self.core.embedding.dims().to_vec(),
                params: 0,
                trainable: 0,
                bytes: 0,
            });
        }
        layers
    }

    /// What trains: the adapters if there are any, nothing of a model in 4 bits without them, else everything.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.weights_in_order()
            .filter_map(|weight| Some(Parameter { name: weight.name().to_owned(), var: weight.var()?.clone() }))
            .collect()
    }

    /// All weights but the 4-bit ones, in the order of the forward pass.
    pub(super) fn weights_in_order(&self) -> impl Iterator<Item = &Weight> {
        self.core.parts().into_iter().flat_map(Part::weights)
    }
}

fn layer(part: Part<'_>) -> Layer {
    match part {
        Part::Embedding(weight) => plain("embedding", weight, part),
        Part::TokenRows(weight) => plain("token_rows", weight, part),
        Part::Positions(weight) => plain("positions", weight, part),
        Part::RelativeBias(weight) => plain("relative_bias", weight, part),
        Part::RelativeVectors(weight) => plain("relative_vectors", weight, part),
        Part::Norm(norm) => plain(norm.kind(), norm.weight(), part),
        Part::Linear(linear) | Part::Head(linear) => of_linear(linear),
    }
}

/// A part named by its first weight.
fn plain(kind: &str, first: &Weight, part: Part<'_>) -> Layer {
    let params = part.weights().map(Weight::count).sum();
    Layer {
        name: stem(first.name()).to_owned(),
        kind: kind.into(),
        shape: first.dims().to_vec(),
        params,
        trainable: part.weights().map(trains).sum(),
        bytes: 4 * params,
    }
}

fn of_linear(linear: &Linear) -> Layer {
    let (rows, columns) = linear.shape;
    let (mut kind, packed) = match &linear.matrix {
        Matrix::Dense(_) => (String::from("linear"), None),
        Matrix::Nf4(codes) => (String::from("linear nf4"), Some(codes.bytes())),
    };
    if let Some(update) = &linear.update {
        kind += &format!(" + {}", update.kind());
    }
    let dense: usize = linear.weights().map(Weight::count).sum();
    Layer {
        name: linear.name.clone(),
        kind,
        shape: vec![rows, columns],
        params: dense + if packed.is_some() { rows * columns } else { 0 },
        trainable: linear.weights().map(trains).sum(),
        bytes: 4 * dense + packed.unwrap_or(0),
    }
}

fn trains(weight: &Weight) -> usize {
    if weight.var().is_some() { weight.count() } else { 0 }
}

fn stem(name: &str) -> &str {
    name.strip_suffix(".weight").unwrap_or(name)
}
