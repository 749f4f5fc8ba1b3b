//! Builds a model from its description: names, shapes and initialisation of its weights.

use super::{
    Attention, AttentionNames, Block, CrossAttention, Head, Linear, Matrix, Mlp, Norm, Projections, RelativeBias,
    RelativeVectors, Stack, StackNames, Transformer, Weight, WeightNames,
};
use crate::error::{Error, Result};
use crate::nn::init::Init;
use crate::nn::ops::RelativeBuckets;
use crate::nn::{ArchSpec, AttentionKind, Initializer, MlpKind, NormKind, Positions, StackSpec};

/// A source of a model's weights: random initialisation, or files.
pub(crate) trait WeightSource {
    /// The tensor called `name`; `init` is its random initialisation.
    fn weight(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Weight>;

    /// A linear layer: dense, its weight and its bias asked for by name.
    fn linear(&mut self, layer: &LinearSpec) -> Result<Linear> {
        layer.dense(self)
    }
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

impl LinearSpec {
    /// The layer with a dense weight, and its bias, asked for by name.
    ///
    /// # Errors
    /// What the source fails with.
    pub(crate) fn dense(&self, source: &mut (impl WeightSource + ?Sized)) -> Result<Linear> {
        let weight = source.weight(&format!("{}.weight", self.name), &[self.shape.0, self.shape.1], self.init)?;
        self.with_matrix(Matrix::Dense(weight), source)
    }

    /// The layer with this weight, and its bias, asked for by name.
    ///
    /// # Errors
    /// What the source fails with.
    pub(crate) fn with_matrix(&self, matrix: Matrix, source: &mut (impl WeightSource + ?Sized)) -> Result<Linear> {
        let bias = match self.bias {
            true => Some(source.weight(&format!("{}.bias", self.name), &[self.shape.0], Init::Zeros)?),
            false => None,
        };
        let (name, shape, transposed) = (self.name.clone(), self.shape, self.transposed);
        Ok(Linear { name, shape, matrix, bias, transposed, update: None })
    }
}

impl Transformer {
    /// The model that `spec` describes, its weights taken from `source` in the order of the forward pass; fresh ones begin as
    /// its [`Initializer`] says.
    pub(crate) fn build(spec: &ArchSpec, names: &WeightNames, source: &mut dyn WeightSource) -> Result<Self> {
        let hidden = spec.decoder.hidden_size;
        let embedding = match spec.initializer {
            Initializer::Range(deviation) | Initializer::FanIn(deviation) => Init::Normal(deviation),
        };
        let embedding = weight(source, names.embedding, &[spec.vocab_size, hidden], embedding)?;
        let encoder = match (&spec.encoder, &names.encoder) {
            (Some(encoder), Some(names_of)) => Some(stack(spec, encoder, (names, names_of), source)?),
            (None, None) => None,
            _ => return Err(Error::internal("the names of an encoder do not fit the description")),
        };
        let decoder = stack(spec, &spec.decoder, (names, &names.decoder), source)?;
        let head = match spec.tied_head {
            true => Head::Tied,
            false => Head::Untied(source.linear(&LinearSpec {
                name: names.head.into(),
                shape: (spec.vocab_size, hidden),
                bias: false,
                transposed: false,
                init: match spec.initializer {
                    Initializer::Range(range) => Init::Normal(range),
                    Initializer::FanIn(factor) => Init::Normal(factor / (hidden as f64).sqrt()),
                },
            })?),
        };
        Ok(Self { spec: spec.clone(), embedding, token_rows: None, encoder, decoder, head })
    }
}

fn stack(
    spec: &ArchSpec,
    stack: &StackSpec,
    (all, names): (&WeightNames, &StackNames),
    source: &mut dyn WeightSource,
) -> Result<Stack> {
    let builder = |layer: usize| Builder { spec, stack, names, transposed: all.transposed, layer };
    let positions = match stack.positions {
        Positions::Learned => {
            let shape = [spec.max_positions, stack.hidden_size];
            Some(weight(source, names.positions, &shape, builder(0).init(Role::Input, stack.hidden_size))?)
        }
        Positions::None | Positions::Rotary(_) | Positions::T5Bias { .. } | Positions::Relative { .. } => None,
    };
    let relative = match stack.positions {
        Positions::T5Bias { buckets, max_distance } => {
            let init = builder(0).init(Role::Input, stack.hidden_size);
            let table = weight(source, names.relative_bias, &[buckets, stack.heads], init)?;
            let buckets = RelativeBuckets {
                bidirectional: stack.attention == AttentionKind::Bidirectional,
                relative_attention_num_buckets: buckets,
                relative_attention_max_distance: max_distance,
            };
            Some(RelativeBias { table, buckets })
        }
        Positions::None | Positions::Learned | Positions::Rotary(_) | Positions::Relative { .. } => None,
    };
    let blocks = (0..stack.layers).map(|layer| builder(layer).block(source)).collect::<Result<_>>()?;
    Ok(Stack { positions, relative, blocks, norm: norm(stack, names.norm, source)? })
}

fn weight(source: &mut dyn WeightSource, name: &str, shape: &[usize], init: Init) -> Result<Weight> {
    source.weight(&format!("{name}.weight"), shape, init)
}

fn norm(stack: &StackSpec, name: &str, source: &mut dyn WeightSource) -> Result<Norm> {
    let shape = [stack.hidden_size];
    let weight = weight(source, name, &shape, Init::Ones)?;
    Ok(match stack.norm {
        NormKind::Rms { eps } => Norm::Rms { weight, eps },
        NormKind::Layer { eps } => {
            Norm::Layer { weight, bias: source.weight(&format!("{name}.bias"), &shape, Init::Zeros)?, eps }
        }
    })
}

/// What a linear layer is for, as far as fresh weights depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Makes queries.
    Query,
    /// Reads the stream.
    Input,
    /// Writes to it.
    Output,
}

/// Builds one block.
struct Builder<'a> {
    spec: &'a ArchSpec,
    stack: &'a StackSpec,
    names: &'a StackNames,
    transposed: bool,
    layer: usize,
}

impl Builder<'_> {
    /// How a fresh matrix that reads `wide` numbers begins.
    fn init(&self, role: Role, wide: usize) -> Init {
        let s = self.stack;
        Init::Normal(match (self.spec.initializer, role) {
            (Initializer::Range(range), Role::Output) => range / (2.0 * s.layers as f64).sqrt(),
            (Initializer::Range(range), Role::Query | Role::Input) => range,
            (Initializer::FanIn(factor), Role::Query) => factor / (wide as f64 * s.head_dim as f64).sqrt(),
            (Initializer::FanIn(factor), Role::Input | Role::Output) => factor / (wide as f64).sqrt(),
        })
    }

    fn block(&self, source: &mut dyn WeightSource) -> Result<Block> {
        let names = self.names;
        let cross = match (self.stack.cross_attention, &names.cross) {
            (true, Some(cross)) => Some(cross),
            (false, None) => None,
            _ => return Err(Error::internal("the names of cross attention do not fit the description")),
        };
        let rotary = match self.stack.positions {
            Positions::Rotary(rotary) => Some(rotary),
            Positions::None | Positions::Learned | Positions::T5Bias { .. } | Positions::Relative { .. } => None,
        };
        let causal = self.stack.attention == AttentionKind::Causal;
        Ok(Block {
            attention_norm: norm(self.stack, &self.name(names.attention.norm), source)?,
            attention: Attention {
                rotary,
                causal,
                vectors: self.vectors(source)?,
                ..self.attention(&names.attention, source)?
            },
            cross: cross
                .map(|names| {
                    let norm = norm(self.stack, &self.name(names.norm), source)?;
                    Ok::<_, Error>(CrossAttention { norm, attention: self.attention(names, source)? })
                })
                .transpose()?,
            mlp_norm: norm(self.stack, &self.name(names.mlp_norm), source)?,
            mlp: self.mlp(source)?,
        })
    }

    /// Vectors by distance, if the description has some.
    fn vectors(&self, source: &mut dyn WeightSource) -> Result<Option<RelativeVectors>> {
        let (s, Positions::Relative { max_distance }) = (self.stack, self.stack.positions) else { return Ok(None) };
        let shape = [s.relative_vectors(), s.query_width()];
        let init = self.init(Role::Input, s.hidden_size);
        let table = weight(source, &self.name(self.names.relative_vectors), &shape, init)?;
        Ok(Some(RelativeVectors { table, max_distance }))
    }

    fn name(&self, part: &str) -> String {
        format!("{}.{}.{part}", self.names.layers, self.layer)
    }

    fn linear(
        &self,
        part: &str,
        shape: (usize, usize),
        bias: bool,
        role: Role,
        source: &mut dyn WeightSource,
    ) -> Result<Linear> {
        let init = self.init(role, shape.1);
        source.linear(&LinearSpec { name: self.name(part), shape, bias, transposed: self.transposed, init })
    }

    /// An attention to all positions, nothing rotated.
    fn attention(&self, names: &AttentionNames, source: &mut dyn WeightSource) -> Result<Attention> {
        let s = self.stack;
        let (hidden, queries, keys) = (s.hidden_size, s.query_width(), s.key_width());
        // Fresh queries are smaller where scores are not scaled.
        let query = if s.attention_scale.by_head_dim { Role::Input } else { Role::Query };
        let mut input =
            |part: &str, out: usize, role: Role| self.linear(part, (out, hidden), s.bias.qkv, role, &mut *source);
        let projections = match (names.projections, s.fused_qkv) {
            ([q, k, v], false) => Projections::Separate {
                q: input(q, queries, query)?,
                k: input(k, keys, Role::Input)?,
                v: input(v, keys, Role::Input)?,
            },
            ([all], true) => Projections::Fused(input(all, queries + 2 * keys, Role::Input)?),
            (names, fused) => return Err(Error::internal(format!("{names:?} do not name the projections ({fused})"))),
        };
        let bias = s.bias.attention_output;
        Ok(Attention {
            projections,
            output: self.linear(names.output, (hidden, queries), bias, Role::Output, source)?,
            heads: s.heads,
            kv_heads: s.kv_heads,
            head_dim: s.head_dim,
            rotary: None,
            vectors: None,
            scale: s.attention_scale.of(self.layer, s.head_dim),
            causal: false,
        })
    }

    fn mlp(&self, source: &mut dyn WeightSource) -> Result<Mlp> {
        let (s, names) = (self.stack, self.names);
        let (hidden, inner, bias) = (s.hidden_size, s.intermediate_size, s.bias.mlp);
        let mut input = |part: &str| self.linear(part, (inner, hidden), bias, Role::Input, &mut *source);
        Ok(match s.mlp {
            MlpKind::Plain(activation) => {
                let up = input(names.up)?;
                Mlp::Plain {
                    up,
                    down: self.linear(names.down, (hidden, inner), bias, Role::Output, source)?,
                    activation,
                }
            }
            MlpKind::Gated(activation) => {
                let (gate, up) = (input(names.gate)?, input(names.up)?);
                let down = self.linear(names.down, (hidden, inner), bias, Role::Output, source)?;
                Mlp::Gated { gate, up, down, activation }
            }
        })
    }
}
