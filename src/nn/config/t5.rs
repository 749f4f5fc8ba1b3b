//! `T5Config` of `transformers`: an encoder and a decoder with RMSNorm, biases by the bucket of a distance in place of
//! positions, scores that are not scaled, and no other biases (Raffel et al. 2020, arXiv:1910.10683).
//!
//! Version 1.0 has a plain feed-forward ("relu") and a head that is the embedding, whose input is scaled by 1/√hidden;
//! version 1.1 has a gated one ("gated-gelu") and a head of its own (Shazeer 2020, arXiv:2002.05202).

use serde::{Deserialize, Serialize};

use super::check;
use super::spec::{
    ArchSpec, AttentionKind, AttentionScale, Biases, Initializer, MlpKind, NormKind, Positions, StackSpec,
};
use crate::error::{Error, Result};
use crate::nn::ops::Activation;

/// The shape of a T5, in the words of its `config.json`; the words that other families use are taken, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct T5Config {
    /// The family: "t5".
    pub model_type: String,
    /// Number of ids, of the encoder and the decoder alike.
    pub vocab_size: usize,
    /// Width of the residual stream.
    #[serde(rename = "d_model", alias = "hidden_size")]
    pub hidden_size: usize,
    /// Width of a head (the stream's over the number of heads when absent).
    #[serde(rename = "d_kv", alias = "head_dim")]
    pub head_dim: Option<usize>,
    /// Width of the feed-forward.
    #[serde(rename = "d_ff", alias = "intermediate_size")]
    pub intermediate_size: usize,
    /// Number of blocks of the encoder.
    #[serde(rename = "num_layers", alias = "num_hidden_layers")]
    pub num_hidden_layers: usize,
    /// Number of blocks of the decoder (as many as the encoder's when absent).
    pub num_decoder_layers: Option<usize>,
    /// Number of blocks of the encoder, where `num_hidden_layers` is meant for the decoder.
    #[serde(skip_serializing)]
    pub num_encoder_layers: Option<usize>,
    /// Attention heads.
    #[serde(rename = "num_heads", alias = "num_attention_heads")]
    pub num_attention_heads: usize,
    /// Buckets of distances that have a bias of their own.
    pub relative_attention_num_buckets: usize,
    /// Distances from here on share the last bucket.
    pub relative_attention_max_distance: usize,
    /// The feed-forward: "relu", "gelu", "gated-gelu", "gated-silu".
    pub feed_forward_proj: String,
    /// Whether the feed-forward is gated, which `feed_forward_proj` says already; refused where they differ.
    #[serde(skip_serializing)]
    pub is_gated_act: Option<bool>,
    /// Added to the mean square in RMSNorm.
    pub layer_norm_epsilon: f64,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether what the head reads is scaled by 1/√d_model (where the head is the embedding when absent).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_decoder_outputs: Option<bool>,
    /// Factor of the deviations of fresh weights.
    pub initializer_factor: f64,
    /// Longest sequence of the decoder.
    #[serde(rename = "n_positions", alias = "max_position_embeddings")]
    pub max_position_embeddings: usize,
    /// The id that the decoder begins with.
    pub decoder_start_token_id: u32,
    /// The id of padding.
    pub pad_token_id: u32,
    /// The id that ends a source and a target.
    pub eos_token_id: u32,
    /// Whether there is an encoder: always.
    pub is_encoder_decoder: bool,
    /// Number of ids of the encoder; it shares the embedding with the decoder, so no more than `vocab_size`.
    #[serde(skip_serializing)]
    pub encoder_vocab_size: Option<usize>,
}

impl Default for T5Config {
    /// That of version 1.1, with the special ids of the tokenizers here.
    fn default() -> Self {
        Self {
            model_type: "t5".into(),
            vocab_size: 0,
            hidden_size: 512,
            head_dim: None,
            intermediate_size: 1024,
            num_hidden_layers: 8,
            num_decoder_layers: None,
            num_encoder_layers: None,
            num_attention_heads: 8,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            feed_forward_proj: "gated-gelu".into(),
            is_gated_act: None,
            layer_norm_epsilon: 1e-6,
            tie_word_embeddings: true,
            scale_decoder_outputs: None,
            initializer_factor: 1.0,
            max_position_embeddings: 2048,
            decoder_start_token_id: 1,
            pad_token_id: 0,
            eos_token_id: 2,
            is_encoder_decoder: true,
            encoder_vocab_size: None,
        }
    }
}

impl T5Config {
    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Number of blocks of the decoder.
    pub fn decoder_layers(&self) -> usize {
        self.num_decoder_layers.unwrap_or(self.num_hidden_layers)
    }

    /// Whether what the head reads is scaled.
    pub(super) fn scales_head(&self) -> bool {
        self.scale_decoder_outputs.unwrap_or(self.tie_word_embeddings)
    }

    /// The same with a head of its own: `transformers` 5 says that every T5 is tied, and goes by the weights.
    pub(super) fn with_own_head(&self) -> Self {
        let scale_decoder_outputs = Some(self.scales_head());
        Self { tie_word_embeddings: false, scale_decoder_outputs, ..self.clone() }
    }

    /// The same with the numbers of blocks as files have them: `num_layers` those of the encoder.
    pub(super) fn in_the_words_of_files(mut self) -> Self {
        if let Some(encoder) = self.num_encoder_layers.take() {
            self.num_decoder_layers.get_or_insert(self.num_hidden_layers);
            self.num_hidden_layers = encoder;
        }
        self
    }

    /// The activation of the feed-forward, and whether it is gated.
    ///
    /// # Errors
    /// Names what `feed_forward_proj` may be.
    pub(in crate::nn) fn feed_forward(&self) -> Result<MlpKind> {
        let given = self.feed_forward_proj.as_str();
        let activation = |name: &str| name.parse::<Activation>().map_err(|e: Error| e.context("feed_forward_proj"));
        let kind = match given.strip_prefix("gated-") {
            // transformers means the approximation with tanh by it.
            Some("gelu") => MlpKind::Gated(Activation::GeluTanh),
            Some(name) => MlpKind::Gated(activation(name)?),
            None => MlpKind::Plain(activation(given)?),
        };
        let gated = matches!(kind, MlpKind::Gated(_));
        match self.is_gated_act {
            Some(is) if is != gated => {
                Err(Error::mistake(format!("is_gated_act is {is}, but feed_forward_proj is \"{given}\""))
                    .with_hint("\"gated-gelu\" is gated, \"relu\" is not; leave is_gated_act out"))
            }
            _ => Ok(kind),
        }
    }

    /// The architecture that these numbers describe.
    ///
    /// # Errors
    /// Names both keys that disagree and their values.
    pub fn lower(&self) -> Result<ArchSpec> {
        check::sizes(
            self.vocab_size,
            &[
                ("d_model", self.hidden_size),
                ("num_layers", self.num_hidden_layers),
                ("num_decoder_layers", self.decoder_layers()),
                ("num_heads", self.num_attention_heads),
                ("d_ff", self.intermediate_size),
                ("n_positions", self.max_position_embeddings),
            ],
        )?;
        if self.head_dim.is_none() {
            check::heads(("d_model", self.hidden_size), ("num_heads", self.num_attention_heads))?;
        }
        check::sizes(self.vocab_size, &[("d_kv", self.head_dim())])?;
        check::floats(&[
            ("layer_norm_epsilon", self.layer_norm_epsilon, self.layer_norm_epsilon > 0.0),
            ("initializer_factor", self.initializer_factor, self.initializer_factor >= 0.0),
        ])?;
        self.check_buckets()?;
        self.check_encoder()?;
        let spec = self.spec()?;
        check::size(
            &spec,
            [
                ("vocab_size", self.vocab_size),
                ("d_model", self.hidden_size),
                ("d_ff", self.intermediate_size),
                ("num_layers", self.num_hidden_layers),
            ],
        )?;
        Ok(spec)
    }

    fn spec(&self) -> Result<ArchSpec> {
        let stack = StackSpec {
            layers: self.num_hidden_layers,
            attention: AttentionKind::Bidirectional,
            cross_attention: false,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            heads: self.num_attention_heads,
            kv_heads: self.num_attention_heads,
            head_dim: self.head_dim(),
            positions: Positions::T5Bias {
                buckets: self.relative_attention_num_buckets,
                max_distance: self.relative_attention_max_distance,
            },
            norm: NormKind::Rms { eps: self.layer_norm_epsilon },
            mlp: self.feed_forward()?,
            bias: Biases::default(),
            attention_scale: AttentionScale { by_head_dim: false, by_layer: false },
            fused_qkv: false,
        };
        let decoder = StackSpec {
            layers: self.decoder_layers(),
            attention: AttentionKind::Causal,
            cross_attention: true,
            ..stack.clone()
        };
        Ok(ArchSpec {
            encoder: Some(stack),
            decoder,
            vocab_size: self.vocab_size,
            max_positions: self.max_position_embeddings,
            tied_head: self.tie_word_embeddings,
            head_scale: self.scales_head().then(|| 1.0 / (self.hidden_size as f32).sqrt()),
            initializer: Initializer::FanIn(self.initializer_factor),
        })
    }

    /// Refuses numbers of buckets in which a distance has no place.
    fn check_buckets(&self) -> Result<()> {
        let (buckets, most) = (self.relative_attention_num_buckets, self.relative_attention_max_distance);
        // A quarter of the encoder's, and half of the decoder's, hold one distance each.
        let exact = buckets / 2;
        if buckets < 4 || !buckets.is_multiple_of(2) || most <= exact || most > 1 << 24 || buckets > 1 << 16 {
            return Err(Error::mistake(format!(
                "relative_attention_num_buckets is {buckets} and relative_attention_max_distance {most}"
            ))
            .with_hint(
                "buckets are even and at least 4, and the distance is more than half of them; 32 and 128 are usual",
            ));
        }
        Ok(())
    }

    fn check_encoder(&self) -> Result<()> {
        if !self.is_encoder_decoder {
            return Err(Error::mistake("is_encoder_decoder is false, but a t5 has an encoder")
                .with_hint("leave it out; model_type \"llama\" and \"gpt2\" have a decoder alone"));
        }
        check::encoder_vocabulary(self.encoder_vocab_size, self.vocab_size)
    }
}
