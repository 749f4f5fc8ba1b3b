//! Cross-entropy over the vocabulary, in one pass over the logits and without keeping probabilities.
//!
//! With the log-sum-exp `L` of a row, the loss of a row is `L − logits[label]` and its gradient
//! `exp(logits − L) − onehot(label)`, both divided by the number of labels that count.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, Layout, Result as Candle, Shape, Tensor};

use super::input::input;
use crate::data::IGNORE;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};

/// Mean of `−log softmax(logits)[label]` (nats) over the labels that are not [`IGNORE`](crate::data::IGNORE): logits
/// (rows, vocabulary), one label a row -> scalar. Gradient for the logits; 0 where all labels are ignored.
///
/// # Errors
/// A number of labels that is not the number of rows, a label beyond the vocabulary, or `interrupted`, when the user cancels.
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
    #[cfg(feature = "cuda")]
    if logits.device().is_cuda() {
        return cuda::cross_entropy(&logits, labels, interrupt);
    }
    let op = CrossEntropy { labels: labels.into(), sums: OnceLock::new(), interrupt: interrupt.clone() };
    Ok(autograd::apply1(&logits, op, Saves::INPUTS)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::reference::{hold_on, on_both_devices, random, values};

    /// The mean over the labels that are not ignored, from candle's log-softmax.
    fn naive(logits: &Tensor, labels: &[u32]) -> Candle<Tensor> {
        let rows: Vec<u32> = (0..labels.len() as u32).filter(|&i| labels[i as usize] != IGNORE).collect();
        let picked: Vec<u32> = rows.iter().map(|&i| labels[i as usize]).collect();
        let n = rows.len();
        let logits = logits.contiguous()?.index_select(&Tensor::from_vec(rows, n, logits.device())?, 0)?;
        candle_nn::loss::cross_entropy(&logits, &Tensor::from_vec(picked, n, logits.device())?)
    }

    on_both_devices! {
        fn it_equals_its_reference(device) {
            for (rows, vocabulary) in [(1, 1), (1, 5), (7, 33), (70, 560), (33, 64)] {
                let logits = random(&[rows, vocabulary], rows as u64).affine(9.0, 0.0).unwrap();
                let label = |i: usize| if i % 5 == 3 { IGNORE } else { (i * 7 % vocabulary) as u32 };
                let labels: Vec<u32> = (0..rows).map(label).collect();
                let fast = |x: &[Tensor], i: &Interrupt| cross_entropy(&x[0], &labels, i);
                hold_on(device, &format!("{rows}×{vocabulary}"), &[logits], fast, |x| naive(&x[0], &labels));
            }
        }
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let logits = Tensor::new(&[[1e30f32, 0.0, -1e30], [500.0, 499.0, -500.0]], &candle_core::Device::Cpu).unwrap();
        let loss = cross_entropy(&logits, &[0, 1], &Interrupt::new()).unwrap();
        // Row 0 is certain; row 1 is ln(1 + e).
        assert!((loss.to_scalar::<f32>().unwrap() - 0.5 * 1.313_261_6).abs() < 1e-6);
    }

    #[test]
    fn where_nothing_counts_loss_and_gradient_are_zero() {
        let logits = candle_core::Var::from_tensor(&random(&[3, 4], 0)).unwrap();
        let loss = cross_entropy(&logits, &[IGNORE; 3], &Interrupt::new()).unwrap();
        assert_eq!(loss.to_scalar::<f32>().unwrap(), 0.0);
        let grads = loss.backward().unwrap();
        assert!(values(grads.get(&logits).unwrap()).iter().all(|&g| g == 0.0));
    }

    #[test]
    fn labels_that_do_not_fit_are_refused() {
        let logits = random(&[2, 4], 0);
        let refuse =
            |labels: &[u32]| cross_entropy(&logits, labels, &Interrupt::new()).unwrap_err().message().to_owned();
        assert_eq!(refuse(&[0]), "1 labels for 2 rows of logits");
        assert_eq!(refuse(&[0, 4]), "label 4 is beyond the vocabulary of 4");
    }

    #[test]
    fn a_loss_that_is_not_finite_stays_so() {
        let logits = Tensor::new(&[[f32::NAN, 0.0]], &candle_core::Device::Cpu).unwrap();
        let loss = cross_entropy(&logits, &[1], &Interrupt::new()).unwrap();
        assert!(loss.to_scalar::<f32>().unwrap().is_nan());
    }
}
