//! Detection of divergence: sudden rises of the loss, weights that are not finite.

use crate::error::Result;
use crate::nn::Parameter;
use crate::train::Step;

/// The number of losses that are averaged, so that one hard batch does not count as divergence.
pub(super) const RECENT: usize = 5;
/// This many high losses in a row count as divergence, too.
const IN_A_ROW: usize = 2;
/// The number of earlier losses to compare with.
const BEFORE: usize = 50;
/// With fewer losses than this they are compared with the highest, not the median: early losses vary.
const LEAST: usize = 15;

/// The losses that rose suddenly, as one number, and the usual loss before them. A rise is sudden when
///
/// - the mean of the last five, `loss` included, exceeds `factor` medians of up to fifty before, or
/// - each of the last two exceeds `factor` medians of those before (of fewer than fifteen: their highest), or
/// - the median of the last fifteen exceeds `factor` times the lowest median of fifty in the run (a slow rise).
pub(super) fn spike(history: &[Step], loss: f64, factor: f64) -> Option<(f64, f64)> {
    if factor == 0.0 {
        return None;
    }
    let losses: Vec<f64> = history.iter().map(|step| step.loss).chain([loss]).collect();
    five(&losses, factor).or_else(|| in_a_row(&losses, factor)).or_else(|| slow_rise(&losses, factor))
}

fn five(losses: &[f64], factor: f64) -> Option<(f64, f64)> {
    let (before, recent) = losses.split_at(losses.len().saturating_sub(RECENT));
    let before = &before[before.len().saturating_sub(BEFORE)..];
    if before.len() < LEAST {
        return None;
    }
    let (mean, usual) = (recent.iter().sum::<f64>() / RECENT as f64, median(before));
    (mean > factor * usual).then_some((mean, usual))
}

fn in_a_row(losses: &[f64], factor: f64) -> Option<(f64, f64)> {
    let (before, recent) = losses.split_at(losses.len().saturating_sub(IN_A_ROW));
    let before = &before[before.len().saturating_sub(BEFORE)..];
    let usual = match before.len() {
        0 => return None,
        few if few < LEAST => before.iter().copied().fold(0.0, f64::max),
        _ => median(before),
    };
    let lowest = recent.iter().copied().fold(f64::INFINITY, f64::min);
    (lowest > factor * usual).then_some((recent.iter().sum::<f64>() / IN_A_ROW as f64, usual))
}

fn slow_rise(losses: &[f64], factor: f64) -> Option<(f64, f64)> {
    let (before, recent) = losses.split_at(losses.len().saturating_sub(LEAST));
    let best = before.chunks_exact(BEFORE).map(median).fold(f64::INFINITY, f64::min);
    let now = median(recent);
    (now > factor * best).then_some((now, best))
}

/// Whether the losses up to a step were still near the lowest of the run: less than halfway to a sudden rise.
pub(super) fn was_calm(history: &[Step], step: u64, factor: f64) -> bool {
    let losses: Vec<f64> = history.iter().map(|step| step.loss).collect();
    let end = usize::try_from(step).unwrap_or(usize::MAX).min(losses.len());
    let best = losses.windows(RECENT).map(median).fold(f64::INFINITY, f64::min);
    factor == 0.0 || median(&losses[end.saturating_sub(RECENT)..end]) <= (1.0 + factor) / 2.0 * best
}

fn median(losses: &[f64]) -> f64 {
    let mut sorted = losses.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// Whether all weights are finite.
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

    /// The step at which a series of losses is stopped.
    fn stopped(losses: &[f64], factor: f64) -> Option<usize> {
        (1..=losses.len()).find(|&n| spike(&history(losses[..n - 1].iter().copied()), losses[n - 1], factor).is_some())
    }

    fn calm(steps: usize) -> Vec<f64> {
        (0..steps).map(|i| 3.0 + 0.1 * (i % 3) as f64).collect()
    }

    #[test]
    fn a_loss_that_doubles_and_stays_is_a_spike_and_one_hard_batch_is_none() {
        assert_eq!(stopped(&[calm(60), vec![9.0], calm(20)].concat(), 2.0), None, "one hard batch");
        assert_eq!(stopped(&[calm(60), vec![8.0; 4]].concat(), 2.0), Some(62), "the second of two");
        assert_eq!(stopped(&[calm(60), vec![8.0; 40]].concat(), 0.0), None, "0 never stops");
        let fall: Vec<f64> = (0..100).map(|i| 6.0 - 0.05 * f64::from(i)).collect();
        assert_eq!(stopped(&fall, 2.0), None, "a fall is none");
        // Five losses with a high mean, though every other one is low.
        let torn = [calm(60), vec![14.0, 3.0, 14.0, 3.0, 14.0]].concat();
        assert_eq!(stopped(&torn, 2.0), Some(63));
    }

    #[test]
    fn a_run_that_leaps_in_its_first_steps_stops() {
        assert_eq!(stopped(&[2.82, 6.60, 8.23], 2.0), Some(3));
        assert_eq!(stopped(&[2.9, 2.82, 6.60, 8.23], 2.0), Some(4));
        assert_eq!(stopped(&[2.82, 6.60, 2.7, 8.23, 2.5], 2.0), None);
        assert_eq!(stopped(&[1.0, 5.0, 2.0, 3.0, 9.0, 8.0], 2.0), None, "early losses are far apart");
    }

    #[test]
    fn a_slow_rise_to_the_double_stops() {
        let rise = (0..200).map(|i| 2.82 + (8.23 - 2.82) * f64::from(i) / 200.0);
        let at = stopped(&calm_then(rise), 2.0).expect("it doubles");
        assert!((150..250).contains(&at), "{at}");
        let noisy: Vec<f64> = (0..400).map(|i| [0.4, 1.1, 0.6, 1.6, 0.5][i % 5]).collect();
        assert_eq!(stopped(&noisy, 2.0), None, "losses of single rows are far apart");
    }

    #[test]
    fn a_checkpoint_on_the_way_up_is_none_to_go_back_to() {
        let risen = history(calm_then((0..40).map(|i| 2.82 + 0.08 * f64::from(i))));
        assert!(was_calm(&risen, 60, 2.0) && was_calm(&risen, 70, 2.0) && !was_calm(&risen, 95, 2.0));
        assert!(was_calm(&risen, 95, 0.0), "nothing leaps");
        assert!(was_calm(&history([3.0, 4.0]), 2, 2.0), "too early to say");
    }

    fn calm_then(rise: impl Iterator<Item = f64>) -> Vec<f64> {
        std::iter::repeat_n(2.82, 60).chain(rise).collect()
    }
}
