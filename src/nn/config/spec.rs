//! The architecture of a model as data: every `config.json` is lowered to it, and all other code reads it.

use crate::nn::ops::{Activation, Rotary};

/// A language model: an embedding, a stack of blocks and a head; with an encoder, another stack in front, which reads a
/// source that the decoder attends to.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchSpec {
    /// The blocks that read the source, if there is one; they share the embedding with the decoder.
    pub encoder: Option<StackSpec>,
    /// The blocks.
    pub decoder: StackSpec,
    /// Number of ids.
    pub vocab_size: usize,
    /// Longest sequence.
    pub max_positions: usize,
    /// Whether the head is the embedding.
    pub tied_head: bool,
    /// What the head's input is multiplied by, if it is.
    pub head_scale: Option<f32>,
    /// How fresh weights begin.
    pub initializer: Initializer,
}

/// A stack of pre-norm blocks and the norm behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct StackSpec {
    /// Number of blocks.
    pub layers: usize,
    /// Which positions attention sees.
    pub attention: AttentionKind,
    /// Whether each block attends to the encoder's output, too.
    pub cross_attention: bool,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward.
    pub intermediate_size: usize,
    /// Attention heads.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// How positions are encoded.
    pub positions: Positions,
    /// The norm in front of each part and behind the last block.
    pub norm: NormKind,
    /// The feed-forward.
    pub mlp: MlpKind,
    /// Which linear layers have a bias.
    pub bias: Biases,
    /// What attention scores are multiplied by.
    pub attention_scale: AttentionScale,
    /// Whether queries, keys and values are one linear layer.
    pub fused_qkv: bool,
}

/// Which positions attention sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionKind {
    /// Those up to its own.
    Causal,
    /// All.
    Bidirectional,
}

/// How fresh weights begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initializer {
    /// Normal with this deviation; those that write to the residual stream smaller by 1/√(2 · layers), as in GPT-2.
    Range(f64),
    /// T5's (Raffel et al. 2020): normal with this factor over the root of the input width, so that no product changes the
    /// size of the stream; queries smaller by 1/√head_dim, since scores are not scaled; the embedding with the factor itself.
    FanIn(f64),
}

/// How positions are encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Positions {
    /// No position encoding; causal attention alone depends on the order.
    None,
    /// A vector for each of [`ArchSpec::max_positions`], added to the embedding.
    Learned,
    /// Queries and keys are rotated.
    Rotary(Rotary),
    /// Each head adds a number to its scores by the bucket that the distance falls into; one table for all blocks.
    T5Bias {
        /// Number of buckets.
        buckets: usize,
        /// Distances from here on share the last bucket.
        max_distance: usize,
    },
    /// Each block adds products of queries and a learned vector by distance to its scores (Huang et al. 2018), a vector a
    /// head.
    Relative {
        /// Distances that have vectors of their own; farther ones share the last.
        max_distance: usize,
    },
}

/// A norm over the residual stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NormKind {
    /// RMSNorm (Zhang & Sennrich 2019): a weight.
    Rms {
        /// Added to the mean square.
        eps: f64,
    },
    /// LayerNorm (Ba et al. 2016): a weight and a bias.
    Layer {
        /// Added to the variance.
        eps: f64,
    },
}

/// A feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MlpKind {
    /// `down(f(up(x)))`
    Plain(Activation),
    /// `down(f(gate(x)) · up(x))`
    Gated(Activation),
}

/// Which linear layers of a block have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Biases {
    /// Those of queries, keys and values.
    pub qkv: bool,
    /// That behind attention.
    pub attention_output: bool,
    /// Those of the feed-forward.
    pub mlp: bool,
}

/// The factor of attention scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionScale {
    /// By `1 / √head_dim`.
    pub by_head_dim: bool,
    /// By `1 / (layer + 1)`, layers counted from 0.
    pub by_layer: bool,
}

impl AttentionScale {
    /// `1 / √head_dim`, as attention was defined (Vaswani et al. 2017).
    pub const USUAL: Self = Self { by_head_dim: true, by_layer: false };

    /// The factor of a layer whose heads are `head_dim` wide.
    pub fn of(self, layer: usize, head_dim: usize) -> f32 {
        let scale = if self.by_head_dim { 1.0 / (head_dim as f32).sqrt() } else { 1.0 };
        if self.by_layer { scale / (layer + 1) as f32 } else { scale }
    }
}

impl ArchSpec {
    /// Number of weights. Saturates, for shapes that no machine holds.
    pub fn weights(&self) -> u128 {
        let s = &self.decoder;
        let [vocabulary, hidden, positions] = [self.vocab_size, s.hidden_size, self.max_positions].map(|n| n as u128);
        let embedding = vocabulary.saturating_mul(hidden);
        let learned = if s.positions == Positions::Learned { positions.saturating_mul(hidden) } else { 0 };
        let head = if self.tied_head { 0 } else { embedding };
        let encoder = self.encoder.as_ref().map_or(0, StackSpec::weights);
        [learned, s.weights(), encoder, head].into_iter().fold(embedding, u128::saturating_add)
    }

    /// Weights of all matrices: the linear layers of all blocks and the head.
    pub fn matrix_weights(&self) -> u128 {
        let blocks = self.decoder.matrices().saturating_add(self.encoder.as_ref().map_or(0, StackSpec::matrices));
        blocks.saturating_add(self.head_weights())
    }

    /// Weights of the matrices that a token of the decoder is multiplied with: all but the encoder's and those that make keys
    /// and values of its output.
    pub fn decoder_matrix_weights(&self) -> u128 {
        let (s, source) = (&self.decoder, self.source_matrix_weights());
        let all = s.matrices().saturating_add(self.encoder.as_ref().map_or(0, StackSpec::matrices));
        all.saturating_sub(source).saturating_add(self.head_weights())
    }

    /// Weights of the matrices that a token of the source is multiplied with; 0 without an encoder.
    pub fn source_matrix_weights(&self) -> u128 {
        let Some(encoder) = &self.encoder else { return 0 };
        let s = &self.decoder;
        let keys_values = (2 * s.layers as u128 * s.hidden_size as u128).saturating_mul(s.key_width() as u128);
        encoder.matrices().saturating_add(keys_values)
    }

    fn head_weights(&self) -> u128 {
        (self.vocab_size as u128).saturating_mul(self.decoder.hidden_size as u128)
    }
}

impl StackSpec {
    /// Width of all queries.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all keys, and of all values.
    pub fn key_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Linear layers that read the stream in the feed-forward: gate and up, or up.
    pub fn mlp_inputs(&self) -> usize {
        match self.mlp {
            MlpKind::Plain(_) => 1,
            MlpKind::Gated(_) => 2,
        }
    }

    /// Vectors by distance that each head of a block has: both directions are told apart where both are seen.
    pub fn relative_vectors(&self) -> usize {
        match (self.positions, self.attention) {
            (Positions::Relative { max_distance }, AttentionKind::Causal) => max_distance,
            (Positions::Relative { max_distance }, AttentionKind::Bidirectional) => 2 * max_distance - 1,
            _ => 0,
        }
    }

    /// Times that each block attends: to its own stream, and to the encoder's output if it does.
    pub fn attentions(&self) -> usize {
        1 + usize::from(self.cross_attention)
    }

    /// Weights of its blocks, its last norm and its table of biases; learned positions are not counted.
    fn weights(&self) -> u128 {
        let bias = match self.positions {
            Positions::T5Bias { buckets, .. } => buckets as u128 * self.heads as u128,
            Positions::Relative { .. } => {
                let rows = self.layers as u128 * self.relative_vectors() as u128;
                rows.saturating_mul(self.heads as u128 * self.head_dim as u128)
            }
            Positions::None | Positions::Learned | Positions::Rotary(_) => 0,
        };
        let blocks = self.block_weights().saturating_mul(self.layers as u128);
        [self.norm_weights(), bias].into_iter().fold(blocks, u128::saturating_add)
    }

    /// Weights of the linear layers of all blocks, without their biases.
    fn matrices(&self) -> u128 {
        self.block_matrices().saturating_mul(self.layers as u128)
    }

    /// Weights of the linear layers of a block, without their biases.
    fn block_matrices(&self) -> u128 {
        let [hidden, inner] = [self.hidden_size, self.intermediate_size].map(|n| n as u128);
        let heads = (self.heads as u128 + self.kv_heads as u128).saturating_mul(self.head_dim as u128);
        let mlp = (self.mlp_inputs() as u128 + 1) * inner;
        hidden.saturating_mul((2 * self.attentions() as u128 * heads).saturating_add(mlp))
    }

    fn block_weights(&self) -> u128 {
        let [hidden, inner] = [self.hidden_size, self.intermediate_size].map(|n| n as u128);
        let qkv = (self.heads as u128 + 2 * self.kv_heads as u128) * self.head_dim as u128;
        let of = |has: bool, count: u128| if has { count } else { 0 };
        let attentions = self.attentions() as u128;
        let biases = attentions * (of(self.bias.qkv, qkv) + of(self.bias.attention_output, hidden))
            + of(self.bias.mlp, hidden + self.mlp_inputs() as u128 * inner);
        self.block_matrices().saturating_add(biases).saturating_add((attentions + 1) * self.norm_weights())
    }

    fn norm_weights(&self) -> u128 {
        match self.norm {
            NormKind::Rms { .. } => self.hidden_size as u128,
            NormKind::Layer { .. } => 2 * self.hidden_size as u128,
        }
    }
}
