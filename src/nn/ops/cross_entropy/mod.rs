//! Cross-entropy over the vocabulary, in one pass over the logits and without keeping probabilities.
//!
//! With the log-sum-exp `L` of a row, the loss of a row is `L − logits[label]` and its gradient
//! `exp(logits − L) − onehot(label)`, both divided by the number of labels that count.

mod cpu;

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, Layout, Result as Candle, Shape, Tensor};

use super::cpu::{floats, floats_of, input};
use crate::data::IGNORE;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::error::check;

/// Mean of `−log softmax(logits)[label]` (nats) over the labels that are not [`IGNORE`](crate::data::IGNORE):
/// logits (rows, vocabulary), one label a row -> scalar. Gradient for the logits; 0 where all are ignored.
///
/// # Errors
/// A number of labels that is not the number of rows, a label beyond the vocabulary, or a stop.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let logits = input(logits, "cross_entropy")?;
    let (rows, vocabulary) = logits.dims2()?;
    if labels.len() != rows {
        return Err(Error::mistake(format!("{} labels for {rows} rows of logits", labels.len())));
    }
    if let Some(label) = labels.iter().find(|&&label| label != IGNORE && label as usize >= vocabulary) {
        return Err(Error::mistake(format!("label {label} is beyond the vocabulary of {vocabulary}")));
    }
    let op = CrossEntropy { labels: labels.into(), sums: OnceLock::new(), interrupt: interrupt.clone() };
    Ok(logits.apply_op1(op)?)
}

struct CrossEntropy {
    labels: Arc<[u32]>,
    /// The log-sum-exp of each row, for backward.
    sums: OnceLock<Vec<f32>>,
    interrupt: Interrupt,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, l: &Layout) -> Candle<(CpuStorage, Shape)> {
        let (loss, sums) = cpu::forward(floats_of(logits, l)?, &self.labels);
        let _ = self.sums.set(sums);
        Ok((CpuStorage::F32(vec![loss]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<Option<Tensor>> {
        check(&self.interrupt)?;
        let sums = self.sums.get().map_or(&[][..], Vec::as_slice);
        let factor = dy.to_scalar::<f32>()?;
        let grad = cpu::backward(&floats(logits)?, &self.labels, sums, factor);
        Ok(Some(Tensor::from_vec(grad, logits.shape(), logits.device())?))
    }
}
