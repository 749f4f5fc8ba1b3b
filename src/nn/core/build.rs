//! Builds a model from its description: names, shapes and initialisation of its weights.

use super::{Attention, Block, Head, Linear, Mlp, Norm, Projections, Stack, Transformer, Weight};
use crate::error::{Error, Result};
use crate::nn::init::Init;
use crate::nn::{ArchSpec, MlpKind, NormKind, Positions, StackSpec};

/// A source of a model's weights: random initialisation, or files.
pub(crate) trait Source {
    /// The tensor called `name`; `init` is its random initialisation.
    fn weight(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Weight>;

    /// A linear layer.
    fn linear(&mut self, layer: &LinearSpec) -> Result<Linear>;
}

/// A linear layer that a model asks for.
#[derive(Debug, Clone)]
pub(crate) struct LinearSpec {
    /// "model.layers.0.self_attn.q_proj"
    pub(crate) name: String,
    /// (out, in)
    pub(crate) shape: (usize, usize),
    /// Whether it has a bias, which begins with zeros.
    pub(crate) bias: bool,
    /// Whether files hold its weight as (in, out), as the `Conv1D` of `transformers`.
    pub(crate) transposed: bool,
    /// How a fresh weight begins.
    pub(crate) init: Init,
}

/// The names of a family's weights.
#[derive(Debug)]
pub(crate) struct Names {
    /// "model.embed_tokens"
    pub(crate) embedding: &'static str,
    /// Learned positions; empty where there are none.
    pub(crate) positions: &'static str,
    /// "model.layers", in front of the number of a block and the names below.
    pub(crate) layers: &'static str,
    pub(crate) attention_norm: &'static str,
    /// Queries, keys and values: three layers, or one.
    pub(crate) projections: &'static [&'static str],
    pub(crate) attention_output: &'static str,
    pub(crate) mlp_norm: &'static str,
    /// Of a gated feed-forward; empty where there is none.
    pub(crate) gate: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    /// The norm behind the last block.
    pub(crate) norm: &'static str,
    pub(crate) head: &'static str,
    /// Whether files hold the linear layers of blocks as (in, out).
    pub(crate) transposed: bool,
}

impl Transformer {
    /// The model that `spec` describes, its weights taken from `source` in the order of the forward pass.
    ///
    /// Fresh weights are normal with `initializer_range`; those that write to the residual stream are smaller by
    /// 1/√(2 · layers), as in GPT-2, so that the stream keeps its size however deep the model.
    pub(crate) fn build(spec: &ArchSpec, names: &Names, source: &mut dyn Source) -> Result<Self> {
        let stack = &spec.decoder;
        let normal = Init::Normal(spec.initializer_range);
        let embedding = weight(source, names.embedding, &[spec.vocab_size, stack.hidden_size], normal)?;
        let positions = match stack.positions {
            Positions::Learned => {
                Some(weight(source, names.positions, &[spec.max_positions, stack.hidden_size], normal)?)
            }
            Positions::None | Positions::Rotary(_) => None,
        };
        let blocks =
            (0..stack.layers).map(|layer| Builder::new(spec, names, layer).block(source)).collect::<Result<_>>()?;
        let norm = norm(stack, names.norm, source)?;
        let head = match spec.tied_head {
            true => Head::Tied,
            false => Head::Untied(source.linear(&LinearSpec {
                name: names.head.into(),
                shape: (spec.vocab_size, stack.hidden_size),
                bias: false,
                transposed: false,
                init: normal,
            })?),
        };
        Ok(Self { spec: spec.clone(), embedding, decoder: Stack { positions, blocks, norm }, head })
    }
}

fn weight(source: &mut dyn Source, name: &str, shape: &[usize], init: Init) -> Result<Weight> {
    source.weight(&format!("{name}.weight"), shape, init)
}

fn norm(stack: &StackSpec, name: &str, source: &mut dyn Source) -> Result<Norm> {
    let shape = [stack.hidden_size];
    let weight = weight(source, name, &shape, Init::Ones)?;
    Ok(match stack.norm {
        NormKind::Rms { eps } => Norm::Rms { weight, eps },
        NormKind::Layer { eps } => {
            Norm::Layer { weight, bias: source.weight(&format!("{name}.bias"), &shape, Init::Zeros)?, eps }
        }
    })
}

/// Builds one block.
struct Builder<'a> {
    stack: &'a StackSpec,
    names: &'a Names,
    layer: usize,
    normal: Init,
    residual: Init,
}

impl<'a> Builder<'a> {
    fn new(spec: &'a ArchSpec, names: &'a Names, layer: usize) -> Self {
        let (stack, range) = (&spec.decoder, spec.initializer_range);
        let residual = Init::Normal(range / (2.0 * stack.layers as f64).sqrt());
        Self { stack, names, layer, normal: Init::Normal(range), residual }
    }

    fn block(&self, source: &mut dyn Source) -> Result<Block> {
        Ok(Block {
            attention_norm: norm(self.stack, &self.name(self.names.attention_norm), source)?,
            attention: self.attention(source)?,
            mlp_norm: norm(self.stack, &self.name(self.names.mlp_norm), source)?,
            mlp: self.mlp(source)?,
        })
    }

    fn name(&self, part: &str) -> String {
        format!("{}.{}.{part}", self.names.layers, self.layer)
    }

    fn linear(
        &self,
        part: &str,
        shape: (usize, usize),
        bias: bool,
        init: Init,
        source: &mut dyn Source,
    ) -> Result<Linear> {
        source.linear(&LinearSpec { name: self.name(part), shape, bias, transposed: self.names.transposed, init })
    }

    fn attention(&self, source: &mut dyn Source) -> Result<Attention> {
        let s = self.stack;
        let (hidden, queries, keys) = (s.hidden_size, s.query_width(), s.key_width());
        let mut input =
            |part: &str, out: usize| self.linear(part, (out, hidden), s.bias.qkv, self.normal, &mut *source);
        let projections = match (self.names.projections, s.fused_qkv) {
            ([q, k, v], false) => {
                Projections::Separate { q: input(q, queries)?, k: input(k, keys)?, v: input(v, keys)? }
            }
            ([all], true) => Projections::Fused(input(all, queries + 2 * keys)?),
            (names, fused) => return Err(Error::internal(format!("{names:?} do not name the projections ({fused})"))),
        };
        let bias = s.bias.attention_output;
        Ok(Attention {
            projections,
            output: self.linear(self.names.attention_output, (hidden, queries), bias, self.residual, source)?,
            heads: s.heads,
            kv_heads: s.kv_heads,
            head_dim: s.head_dim,
            rotary: match s.positions {
                Positions::Rotary(rotary) => Some(rotary),
                Positions::None | Positions::Learned => None,
            },
            scale: s.attention_scale.of(self.layer, s.head_dim),
        })
    }

    fn mlp(&self, source: &mut dyn Source) -> Result<Mlp> {
        let (s, names) = (self.stack, self.names);
        let (hidden, inner, bias) = (s.hidden_size, s.intermediate_size, s.bias.mlp);
        let mut input = |part: &str| self.linear(part, (inner, hidden), bias, self.normal, &mut *source);
        Ok(match s.mlp {
            MlpKind::Plain(activation) => {
                let up = input(names.up)?;
                Mlp::Plain {
                    up,
                    down: self.linear(names.down, (hidden, inner), bias, self.residual, source)?,
                    activation,
                }
            }
            MlpKind::Gated(activation) => {
                let (gate, up) = (input(names.gate)?, input(names.up)?);
                let down = self.linear(names.down, (hidden, inner), bias, self.residual, source)?;
                Mlp::Gated { gate, up, down, activation }
            }
        })
    }
}
