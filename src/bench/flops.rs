//! Floating-point operations of a pass, a multiplication and its addition being two.
//!
//! A linear layer of `n` weights takes `2 n` a token forward, `2 n` for the gradient of its input, and `2 n` for its own
//! if it trains. Causal attention over `t` tokens takes two products forward and four on the way back, each of
//! `t · heads · head_dim` a token, since half of the scores are beyond the diagonal. The rest is left out.

use crate::nn::{ArchSpec, Model};

/// Of attention, a token, for `products` products over `time` tokens.
fn attention(spec: &ArchSpec, time: usize, products: usize) -> f64 {
    (spec.decoder.layers * products * time * spec.decoder.query_width()) as f64
}

/// Of a training step, a token, with rows of `time` tokens.
pub fn training(model: &Model, time: usize) -> f64 {
    let (spec, weights) = (model.spec(), model.spec().matrix_weights() as f64);
    let trains = model.trainable() as f64;
    let frozen = model.lora_config().is_some();
    // Adapters come on top of the weights; without them all weights train.
    let (forward, inputs, own) =
        if frozen { (weights + trains, weights + trains, trains) } else { (weights, weights, weights) };
    2.0 * (forward + inputs + own) + attention(spec, time, 6)
}

/// Of decoding, a token, after `time` tokens.
pub fn decoding(model: &Model, time: usize) -> f64 {
    // Twice what a causal product takes: the last query sees all.
    2.0 * model.spec().matrix_weights() as f64 + 2.0 * attention(model.spec(), time, 2)
}
