//! The names of a family's weights.

/// The names of a family's weights.
#[derive(Debug)]
pub(crate) struct WeightNames {
    /// "model.embed_tokens"
    pub(crate) embedding: &'static str,
    /// The blocks of the encoder, where there is one.
    pub(crate) encoder: Option<StackNames>,
    pub(crate) decoder: StackNames,
    pub(crate) head: &'static str,
    /// Whether files hold the linear layers of blocks as (in, out).
    pub(crate) transposed: bool,
    /// Linear layers of blocks that stay as they are when the others are put into 4 bits, by the last part of their names.
    pub(crate) unquantized: &'static [&'static str],
}

/// The names of the weights of a stack.
#[derive(Debug)]
pub(crate) struct StackNames {
    /// Learned positions; empty where there are none.
    pub(crate) positions: &'static str,
    /// Biases by distance; empty where there are none.
    pub(crate) relative_bias: &'static str,
    /// Vectors by distance of each block; empty where there are none.
    pub(crate) relative_vectors: &'static str,
    /// "model.layers", in front of the number of a block and the names below.
    pub(crate) layers: &'static str,
    pub(crate) attention: AttentionNames,
    /// Attention to the encoder's output, where there is one.
    pub(crate) cross: Option<AttentionNames>,
    pub(crate) mlp_norm: &'static str,
    /// Of a gated feed-forward; empty where there is none.
    pub(crate) gate: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    /// The norm behind the last block.
    pub(crate) norm: &'static str,
}

/// The names of the weights of an attention.
#[derive(Debug)]
pub(crate) struct AttentionNames {
    /// The norm in front of it.
    pub(crate) norm: &'static str,
    /// Queries, keys and values: three layers, or one.
    pub(crate) projections: &'static [&'static str],
    pub(crate) output: &'static str,
}
