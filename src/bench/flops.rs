//! Floating-point operations of a pass; a multiplication with its addition counts as two.
//!
//! A linear layer of `n` weights costs `2 n` a token forward, `2 n` for the gradient of its input, and `2 n` for that
//! of its weights if they train. Causal attention over `t` tokens costs two products forward and four backward, each of
//! `t · heads · head_dim` a token, since half of the scores are masked. Everything else is neglected.
//!
//! With an encoder, each token of the source costs the encoder's matrices and two products of attention over the whole
//! source; the decoder's attention products are then over its own tokens and over the source.

use crate::nn::{ArchSpec, Model};

/// FLOPs of attention per decoder token: `products` products over `time` tokens of a row and `source` tokens of a
/// source.
fn attention(spec: &ArchSpec, time: usize, source: usize, products: usize) -> f64 {
    let s = &spec.decoder;
    let cross = if s.cross_attention { 2 * source } else { 0 };
    (s.layers * products * (time + cross) * s.query_width()) as f64
}

/// FLOPs of the encoder's self-attention over all tokens of a source.
fn source_attention(spec: &ArchSpec, source: usize, products: usize) -> f64 {
    spec.encoder.as_ref().map_or(0.0, |s| (s.layers * products * 2 * source * source * s.query_width()) as f64)
}

/// FLOPs of a training step per token, with rows of `time` tokens and `source` tokens of a source (0 without an
/// encoder).
pub fn training(model: &Model, time: usize, source: usize) -> f64 {
    let spec = model.spec();
    // Source tokens per decoder token.
    let share = source as f64 / time.max(1) as f64;
    let weights = spec.decoder_matrix_weights() as f64 + share * spec.source_matrix_weights() as f64;
    let trains = model.trainable() as f64 * weights / (spec.matrix_weights() as f64).max(1.0);
    let frozen = model.lora_config().is_some();
    // Adapters add to the frozen weights; without adapters all weights train.
    let (forward, inputs, own) =
        if frozen { (weights + trains, weights + trains, trains) } else { (weights, weights, weights) };
    2.0 * (forward + inputs + own)
        + attention(spec, time, source, 6)
        + source_attention(spec, source, 6) / time.max(1) as f64
}

/// FLOPs of decoding per token, after `time` tokens, over `source` tokens of a source that was encoded before (0
/// without an encoder).
pub fn decoding(model: &Model, time: usize, source: usize) -> f64 {
    // Twice that of a causal product: the last query attends to all keys.
    2.0 * model.spec().decoder_matrix_weights() as f64 + 2.0 * attention(model.spec(), time, source / 2, 2)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::{LlamaConfig, T5Config};

    #[test]
    fn a_source_adds_what_its_tokens_cost() {
        let llama = LlamaConfig {
            vocab_size: 40,
            hidden_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 64,
            ..LlamaConfig::default()
        };
        let llama = Model::new(&llama, &Device::Cpu, 1).unwrap();
        let all = llama.spec().matrix_weights() as f64;
        // Six products of n weights, and six of attention over 10 tokens in each of two layers.
        assert_eq!(training(&llama, 10, 0), 6.0 * all + f64::from(2 * 6 * 10 * 32));
        assert_eq!(decoding(&llama, 10, 0), 2.0 * all + f64::from(2 * 2 * 2 * 10 * 32));
        let t5 = T5Config {
            vocab_size: 40,
            hidden_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 64,
            ..T5Config::default()
        };
        let t5 = Model::new(&t5, &Device::Cpu, 1).unwrap();
        let more = training(&t5, 10, 20) - training(&t5, 10, 0);
        let linear = 6.0 * 2.0 * t5.spec().source_matrix_weights() as f64;
        // Over the source: six products in each layer of the decoder for each token, and as many in the encoder for two.
        assert_eq!(more, linear + f64::from(2 * 6 * 40 * 32) + f64::from(2 * 6 * 2 * 20 * 20 * 32) / 10.0);
        assert!(decoding(&t5, 10, 20) > decoding(&t5, 10, 0));
    }
}
