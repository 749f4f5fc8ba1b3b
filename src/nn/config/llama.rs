//! `LlamaConfig` of `transformers`: RMSNorm, rotary positions, a gated feed-forward, grouped heads of keys and values
//! (Touvron et al. 2023, arXiv:2302.13971).

use serde::{Deserialize, Serialize};

use super::check;
use super::rope::RopeParameters;
use super::spec::{
    ArchSpec, AttentionKind, AttentionScale, Biases, Initializer, MlpKind, NormKind, Positions, StackSpec,
};
use crate::error::{Error, Result};
use crate::nn::ops::{Activation, Rotary};

/// The widest head that is accepted: the largest models have 512.
const WIDEST_HEAD: usize = 1 << 14;

/// The shape of a LLaMA, in the words of its `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LlamaConfig {
    /// The family: "llama".
    pub model_type: String,
    /// Number of ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Heads of keys and values; divides `num_attention_heads` (all of them when absent).
    pub num_key_value_heads: Option<usize>,
    /// Width of a head (`hidden_size / num_attention_heads` when absent).
    pub head_dim: Option<usize>,
    /// Width of the feed-forward.
    pub intermediate_size: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// How rotary positions are stretched for longer contexts.
    #[serde(alias = "rope_scaling", skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<RopeParameters>,
    /// The activation of the gate: "silu", "gelu", "gelu_pytorch_tanh", "relu".
    pub hidden_act: String,
    /// Whether the linear layers of attention have a bias.
    pub attention_bias: bool,
    /// Whether the linear layers of the feed-forward have a bias.
    pub mlp_bias: bool,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
}

impl Default for LlamaConfig {
    fn default() -> Self {
        Self {
            model_type: "llama".into(),
            vocab_size: 0,
            hidden_size: 512,
            num_hidden_layers: 8,
            num_attention_heads: 8,
            num_key_value_heads: None,
            head_dim: None,
            intermediate_size: 1536,
            max_position_embeddings: 2048,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            rope_parameters: None,
            hidden_act: "silu".into(),
            attention_bias: false,
            mlp_bias: false,
            tie_word_embeddings: false,
            initializer_range: 0.02,
        }
    }
}

impl LlamaConfig {
    /// Heads of keys and values.
    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Checks that the numbers fit each other.
    ///
    /// # Errors
    /// Names both keys that disagree and their values.
    pub fn validate(&self) -> Result<()> {
        self.lower().map(drop)
    }

    /// The architecture that these numbers describe.
    ///
    /// # Errors
    /// As [`LlamaConfig::validate`].
    pub fn lower(&self) -> Result<ArchSpec> {
        check::sizes(
            self.vocab_size,
            &[
                ("hidden_size", self.hidden_size),
                ("num_hidden_layers", self.num_hidden_layers),
                ("num_attention_heads", self.num_attention_heads),
                ("num_key_value_heads", self.kv_heads()),
                ("intermediate_size", self.intermediate_size),
                ("max_position_embeddings", self.max_position_embeddings),
            ],
        )?;
        self.check_heads()?;
        check::floats(&[
            ("rms_norm_eps", self.rms_norm_eps, self.rms_norm_eps > 0.0),
            ("rope_theta", self.rope_theta, self.rope_theta > 0.0),
            ("initializer_range", self.initializer_range, self.initializer_range >= 0.0),
        ])?;
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
        let activation: Activation = self.hidden_act.parse().map_err(|e: Error| e.context("hidden_act"))?;
        let rotary = match &self.rope_parameters {
            None => Rotary::plain(self.rope_theta),
            Some(rope) => rope.lower(self.rope_theta, self.max_position_embeddings)?,
        };
        let most = self.max_position_embeddings;
        Ok(ArchSpec {
            encoder: None,
            decoder: StackSpec {
                layers: self.num_hidden_layers,
                attention: AttentionKind::Causal,
                cross_attention: false,
                hidden_size: self.hidden_size,
                intermediate_size: self.intermediate_size,
                heads: self.num_attention_heads,
                kv_heads: self.kv_heads(),
                head_dim: self.head_dim(),
                positions: Positions::Rotary(rotary),
                norm: NormKind::Rms { eps: self.rms_norm_eps },
                mlp: MlpKind::Gated(activation),
                bias: Biases { qkv: self.attention_bias, attention_output: self.attention_bias, mlp: self.mlp_bias },
                attention_scale: AttentionScale::USUAL,
                fused_qkv: false,
            },
            vocab_size: self.vocab_size,
            max_positions: self.rope_parameters.as_ref().map_or(most, |rope| rope.reach(most)),
            tied_head: self.tie_word_embeddings,
            head_scale: None,
            initializer: Initializer::Range(self.initializer_range),
        })
    }

    fn check_heads(&self) -> Result<()> {
        let (hidden, heads, kv_heads) = (self.hidden_size, self.num_attention_heads, self.kv_heads());
        if self.head_dim.is_none() {
            check::heads(("hidden_size", hidden), ("num_attention_heads", heads))?;
        }
        if !heads.is_multiple_of(kv_heads) {
            return Err(Error::mistake(format!(
                "num_attention_heads {heads} is not divisible by num_key_value_heads {kv_heads}"
            ))
            .with_hint("every head of keys and values serves the same number of attention heads"));
        }
        match (self.head_dim(), self.head_dim) {
            (dim, Some(_)) if dim > WIDEST_HEAD => Err(Error::mistake(format!("head_dim is {dim}"))
                .with_hint(format!("64 and 128 are usual, {WIDEST_HEAD} is the most"))),
            (dim, _) if dim > 0 && dim.is_multiple_of(2) => Ok(()),
            (dim, Some(_)) => {
                Err(Error::mistake(format!("head_dim is {dim}"))
                    .with_hint("rotary positions turn pairs: it must be even"))
            }
            (dim, None) => Err(Error::mistake(format!(
                "hidden_size {hidden} over num_attention_heads {heads} makes heads of odd width {dim}"
            ))
            .with_hint("rotary positions turn pairs: the width of a head must be even")),
        }
    }
}
