//! Floating-point operations of a pass, a multiplication and its addition being two.
//!
//! A linear layer of `n` weights takes `2 n` a token forward, `2 n` for the gradient of its input, and `2 n` for its own
//! if it trains. Causal attention over `t` tokens takes two products forward and four on the way back, each of
//! `t · heads · head_dim` a token, since half of the scores are beyond the diagonal. The rest is left out.

use crate::nn::{Model, ModelConfig};

/// Of attention, a token, for `products` products over `time` tokens.
fn attention(config: &ModelConfig, time: usize, products: usize) -> f64 {
    let width = config.num_attention_heads * config.head_dim();
    (config.num_hidden_layers * products * time * width) as f64
}

/// Weights of the linear layers, the head included.
fn linear(config: &ModelConfig) -> f64 {
    let (h, i) = (config.hidden_size, config.intermediate_size);
    let (q, k) = (config.num_attention_heads * config.head_dim(), config.kv_heads() * config.head_dim());
    let block = 2 * h * q + 2 * h * k + 3 * h * i;
    (config.num_hidden_layers * block + h * config.vocab_size) as f64
}

/// Of a training step, a token, with rows of `time` tokens.
pub fn training(model: &Model, time: usize) -> f64 {
    let (config, weights) = (model.config(), linear(model.config()));
    let trains = model.trainable() as f64;
    let frozen = model.lora_config().is_some();
    // Adapters come on top of the weights; without them all weights train.
    let (forward, inputs, own) =
        if frozen { (weights + trains, weights + trains, trains) } else { (weights, weights, weights) };
    2.0 * (forward + inputs + own) + attention(config, time, 6)
}

/// Of decoding, a token, after `time` tokens.
pub fn decoding(model: &Model, time: usize) -> f64 {
    // Twice what a causal product takes: the last query sees all.
    2.0 * linear(model.config()) + 2.0 * attention(model.config(), time, 2)
}
