//! Cross-entropy over the vocabulary, in one pass over the logits and without keeping probabilities.

use candle_core::Tensor;

use crate::error::Result;
use crate::interrupt::Interrupt;

/// Mean of `−log softmax(logits)[label]` (nats) over the labels that are not [`IGNORE`](crate::data::IGNORE):
/// logits (rows, vocabulary), one label a row -> scalar. Gradient for the logits; 0 where all are ignored.
pub fn cross_entropy(_logits: &Tensor, _labels: &[u32], _interrupt: &Interrupt) -> Result<Tensor> {
    todo!()
}
