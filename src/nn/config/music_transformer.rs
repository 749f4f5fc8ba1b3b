//! The Music Transformer (Huang et al. 2018, arXiv:1809.04281): LayerNorm, a plain feed-forward, biases everywhere, and
//! relative attention with learned vectors by distance; with or without an encoder. `transformers` has no such family: the
//! keys are those that other families share.

use serde::{Deserialize, Serialize};

use super::check;
use super::spec::{
    ArchSpec, AttentionKind, AttentionScale, Biases, Initializer, MlpKind, NormKind, Positions, StackSpec,
};
use crate::error::{Error, Result};

/// The shape of a Music Transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MusicTransformerConfig {
    /// The family: "music_transformer".
    pub model_type: String,
    /// Number of ids, of an encoder and the decoder alike.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks of the decoder.
    pub num_hidden_layers: usize,
    /// Number of blocks of the encoder (as many as the decoder's when absent).
    pub num_encoder_layers: Option<usize>,
    /// Whether there is an encoder.
    pub is_encoder_decoder: bool,
    /// Number of ids of the encoder; it shares the embedding with the decoder, so no more than `vocab_size`.
    #[serde(skip_serializing)]
    pub encoder_vocab_size: Option<usize>,
    /// Attention heads; divides the width.
    pub num_attention_heads: usize,
    /// Width of the feed-forward.
    pub intermediate_size: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Distances that have vectors of their own; farther ones share the last (`max_position_embeddings` when absent).
    pub max_relative_positions: Option<usize>,
    /// The activation of the feed-forward: "relu", "gelu", "silu".
    pub hidden_act: String,
    /// Added to the variance in LayerNorm.
    pub layer_norm_eps: f64,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
}

impl Default for MusicTransformerConfig {
    fn default() -> Self {
        Self {
            model_type: "music_transformer".into(),
            vocab_size: 0,
            hidden_size: 512,
            num_hidden_layers: 8,
            num_encoder_layers: None,
            is_encoder_decoder: false,
            encoder_vocab_size: None,
            num_attention_heads: 8,
            intermediate_size: 2048,
            max_position_embeddings: 2048,
            max_relative_positions: None,
            hidden_act: "relu".into(),
            layer_norm_eps: 1e-6,
            tie_word_embeddings: true,
            initializer_range: 0.02,
        }
    }
}

impl MusicTransformerConfig {
    /// Distances that have vectors of their own.
    pub fn relative_positions(&self) -> usize {
        self.max_relative_positions.unwrap_or(self.max_position_embeddings)
    }

    /// Number of blocks of the encoder; 0 without one.
    pub fn encoder_layers(&self) -> usize {
        if self.is_encoder_decoder { self.num_encoder_layers.unwrap_or(self.num_hidden_layers) } else { 0 }
    }

    /// The architecture that these numbers describe.
    ///
    /// # Errors
    /// Names both keys that disagree and their values.
    pub fn lower(&self) -> Result<ArchSpec> {
        check::sizes(
            self.vocab_size,
            &[
                ("hidden_size", self.hidden_size),
                ("num_hidden_layers", self.num_hidden_layers),
                ("num_attention_heads", self.num_attention_heads),
                ("intermediate_size", self.intermediate_size),
                ("max_position_embeddings", self.max_position_embeddings),
                ("max_relative_positions", self.relative_positions()),
            ],
        )?;
        check::heads(("hidden_size", self.hidden_size), ("num_attention_heads", self.num_attention_heads))?;
        check::floats(&[
            ("layer_norm_eps", self.layer_norm_eps, self.layer_norm_eps > 0.0),
            ("initializer_range", self.initializer_range, self.initializer_range >= 0.0),
        ])?;
        self.check_encoder()?;
        let spec = self.spec()?;
        check::size(
            &spec,
            [
                ("vocab_size", self.vocab_size),
                ("hidden_size", self.hidden_size),
                ("intermediate_size", self.intermediate_size),
                ("num_hidden_layers", self.num_hidden_layers),
            ],
        )?;
        Ok(spec)
    }

    fn spec(&self) -> Result<ArchSpec> {
        let activation = self.hidden_act.parse().map_err(|e: Error| e.context("hidden_act"))?;
        let decoder = StackSpec {
            layers: self.num_hidden_layers,
            attention: AttentionKind::Causal,
            cross_attention: self.is_encoder_decoder,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            heads: self.num_attention_heads,
            kv_heads: self.num_attention_heads,
            head_dim: self.hidden_size / self.num_attention_heads,
            positions: Positions::Relative { max_distance: self.relative_positions() },
            norm: NormKind::Layer { eps: self.layer_norm_eps },
            mlp: MlpKind::Plain(activation),
            bias: Biases { qkv: true, attention_output: true, mlp: true },
            attention_scale: AttentionScale::USUAL,
            fused_qkv: false,
        };
        let encoder = StackSpec {
            layers: self.encoder_layers(),
            attention: AttentionKind::Bidirectional,
            cross_attention: false,
            ..decoder.clone()
        };
        Ok(ArchSpec {
            encoder: self.is_encoder_decoder.then_some(encoder),
            decoder,
            vocab_size: self.vocab_size,
            max_positions: self.max_position_embeddings,
            tied_head: self.tie_word_embeddings,
            head_scale: None,
            initializer: Initializer::Range(self.initializer_range),
        })
    }

    fn check_encoder(&self) -> Result<()> {
        if self.is_encoder_decoder {
            check::sizes(self.vocab_size, &[("num_encoder_layers", self.encoder_layers())])?;
        } else if let Some(layers) = self.num_encoder_layers {
            return Err(Error::mistake(format!("num_encoder_layers is {layers}, but is_encoder_decoder is false"))
                .with_hint("set is_encoder_decoder: true, or leave num_encoder_layers out"));
        }
        check::encoder_vocabulary(self.encoder_vocab_size, self.vocab_size)
    }
}
