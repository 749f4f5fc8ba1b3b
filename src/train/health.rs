//! Whether a run is still learning: losses that leap, weights that are no numbers.

use crate::error::Result;
use crate::nn::Parameter;
use crate::train::Step;

/// So many losses are taken together, so that one hard batch is no leap.
pub(super) const RECENT: usize = 5;
/// They are held against so many before them.
const BEFORE: usize = 50;
/// With fewer than these nothing is said.
const LEAST: usize = 15;

/// The mean of the last losses, `loss` among them, and the median before them, when the mean exceeds `factor` medians.
pub(super) fn spike(history: &[Step], loss: f64, factor: f64) -> Option<(f64, f64)> {
    let recent = history.len().saturating_sub(RECENT - 1);
    let mut before: Vec<f64> = history[recent.saturating_sub(BEFORE)..recent].iter().map(|step| step.loss).collect();
    if factor == 0.0 || before.len() < LEAST {
        return None;
    }
    let mean = (history[recent..].iter().map(|step| step.loss).sum::<f64>() + loss) / RECENT as f64;
    before.sort_by(f64::total_cmp);
    let median = before[before.len() / 2];
    (mean > factor * median).then_some((mean, median))
}

/// Whether every weight is a number.
pub(super) fn finite(parameters: &[Parameter]) -> Result<bool> {
    for parameter in parameters {
        let sum = parameter.var.as_detached_tensor().abs()?.sum_all()?.to_scalar::<f32>()?;
        if !sum.is_finite() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(losses: impl IntoIterator<Item = f64>) -> Vec<Step> {
        let step = |(step, loss): (usize, f64)| Step { step: step as u64 + 1, loss, ..Step::default() };
        losses.into_iter().enumerate().map(step).collect()
    }

    #[test]
    fn a_loss_that_doubles_and_stays_is_a_spike_and_one_hard_batch_is_none() {
        let calm = || (0..60).map(|i| 3.0 + 0.1 * f64::from(i % 3));
        assert_eq!(spike(&history(calm()), 5.0, 2.0), None);
        let risen = history(calm().chain([8.0; 4]));
        let (mean, median) = spike(&risen, 8.0, 2.0).expect("it rose and stayed");
        assert!(mean == 8.0 && (3.0..3.3).contains(&median), "{mean}, {median}");
        assert_eq!(spike(&risen, 8.0, 0.0), None, "0 never stops");
        assert_eq!(spike(&history([6.0; 10]), 60.0, 2.0), None, "too early to say");
        assert_eq!(spike(&history((0..100).map(|i| 6.0 - 0.05 * f64::from(i))), 1.0, 2.0), None, "a fall is none");
    }
}
