//! `GPT2Config` of `transformers`: LayerNorm, learned positions, a plain feed-forward, biases everywhere (Radford et al.
//! 2019).

use serde::{Deserialize, Serialize};

use super::check;
use super::spec::{
    ArchSpec, AttentionKind, AttentionScale, Biases, Initializer, MlpKind, NormKind, Positions, StackSpec,
};
use crate::error::{Error, Result};

/// The shape of a GPT-2, in the words of its `config.json`; the words that other families use are taken, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gpt2Config {
    /// The family: "gpt2".
    pub model_type: String,
    /// Number of ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    #[serde(rename = "n_embd", alias = "hidden_size")]
    pub hidden_size: usize,
    /// Number of blocks.
    #[serde(rename = "n_layer", alias = "num_hidden_layers")]
    pub num_hidden_layers: usize,
    /// Attention heads; divides the width.
    #[serde(rename = "n_head", alias = "num_attention_heads")]
    pub num_attention_heads: usize,
    /// Width of the feed-forward (four times the stream's when absent).
    #[serde(rename = "n_inner", alias = "intermediate_size")]
    pub intermediate_size: Option<usize>,
    /// Longest sequence: as many positions are learned.
    #[serde(rename = "n_positions", alias = "max_position_embeddings")]
    pub max_position_embeddings: usize,
    /// The activation of the feed-forward: "gelu_new", "gelu", "relu", "silu".
    #[serde(alias = "hidden_act")]
    pub activation_function: String,
    /// Added to the variance in LayerNorm.
    pub layer_norm_epsilon: f64,
    /// Whether attention scores are divided by √head_dim.
    pub scale_attn_weights: bool,
    /// Whether attention scores are divided by the number of the layer, too.
    pub scale_attn_by_inverse_layer_idx: bool,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
}

impl Default for Gpt2Config {
    fn default() -> Self {
        Self {
            model_type: "gpt2".into(),
            vocab_size: 0,
            hidden_size: 512,
            num_hidden_layers: 8,
            num_attention_heads: 8,
            intermediate_size: None,
            max_position_embeddings: 1024,
            activation_function: "gelu_new".into(),
            layer_norm_epsilon: 1e-5,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
            tie_word_embeddings: true,
            initializer_range: 0.02,
        }
    }
}

impl Gpt2Config {
    /// Width of the feed-forward.
    pub fn inner_size(&self) -> usize {
        self.intermediate_size.unwrap_or(self.hidden_size.saturating_mul(4))
    }

    /// The architecture that these numbers describe.
    ///
    /// # Errors
    /// Names both keys that disagree and their values.
    pub fn lower(&self) -> Result<ArchSpec> {
        check::sizes(
            self.vocab_size,
            &[
                ("n_embd", self.hidden_size),
                ("n_layer", self.num_hidden_layers),
                ("n_head", self.num_attention_heads),
                ("n_inner", self.inner_size()),
                ("n_positions", self.max_position_embeddings),
            ],
        )?;
        check::heads(("n_embd", self.hidden_size), ("n_head", self.num_attention_heads))?;
        check::floats(&[
            ("layer_norm_epsilon", self.layer_norm_epsilon, self.layer_norm_epsilon > 0.0),
            ("initializer_range", self.initializer_range, self.initializer_range >= 0.0),
        ])?;
        let spec = self.spec()?;
        check::size(
            &spec,
            [
                ("vocab_size", self.vocab_size),
                ("n_embd", self.hidden_size),
                ("n_inner", self.inner_size()),
                ("n_layer", self.num_hidden_layers),
            ],
        )?;
        Ok(spec)
    }

    fn spec(&self) -> Result<ArchSpec> {
        let activation = self.activation_function.parse().map_err(|e: Error| e.context("activation_function"))?;
        Ok(ArchSpec {
            encoder: None,
            decoder: StackSpec {
                layers: self.num_hidden_layers,
                attention: AttentionKind::Causal,
                cross_attention: false,
                hidden_size: self.hidden_size,
                intermediate_size: self.inner_size(),
                heads: self.num_attention_heads,
                kv_heads: self.num_attention_heads,
                head_dim: self.hidden_size / self.num_attention_heads,
                positions: Positions::Learned,
                norm: NormKind::Layer { eps: self.layer_norm_epsilon },
                mlp: MlpKind::Plain(activation),
                bias: Biases { qkv: true, attention_output: true, mlp: true },
                attention_scale: AttentionScale {
                    by_head_dim: self.scale_attn_weights,
                    by_layer: self.scale_attn_by_inverse_layer_idx,
                },
                fused_qkv: true,
            },
            vocab_size: self.vocab_size,
            max_positions: self.max_position_embeddings,
            tied_head: self.tie_word_embeddings,
            head_scale: None,
            initializer: Initializer::Range(self.initializer_range),
        })
    }
}
