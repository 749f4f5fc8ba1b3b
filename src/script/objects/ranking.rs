//! Ranks samples: by their adherence to the chords, by the model's likelihood, or by a function of the user.

use rhai::{Dynamic, FnPtr, NativeCallContext};

use crate::error::Error;
use crate::harmony::{chord_adherence, chord_markers};
use crate::metrics::Defects;
use crate::midi;
use crate::script::convert::{article, number, text};
use crate::script::failure::Fallible;
use crate::script::objects::Score;

/// The criterion of a ranking.
#[derive(Debug, Clone)]
pub(super) enum By {
    /// The sum of the ranks by adherence and likelihood; samples with a defect come last.
    Both,
    /// The share of onsets that are tones of the current chord.
    Adherence,
    /// The model's negative log-likelihood, in nats a note.
    Likelihood,
    /// The result of a closure, higher is better.
    Measure(FnPtr),
}

/// The criteria by name.
const NAMES: [&str; 3] = ["both", "adherence", "likelihood"];

impl By {
    /// # Errors
    /// A text that names no measure, and values that are neither text nor closure.
    pub(super) fn new(value: &Dynamic) -> Fallible<Self> {
        if let Some(f) = value.read_lock::<FnPtr>() {
            return Ok(Self::Measure(f.clone()));
        }
        if !value.is_string() {
            let message = format!("generate: by is a name or a closure over a take, not {}", article(value));
            return Err(Error::mistake(message).with_hint(format!("the names are {}", NAMES.join(", "))).into());
        }
        match text("by", value)?.as_str() {
            "both" => Ok(Self::Both),
            "adherence" => Ok(Self::Adherence),
            "likelihood" => Ok(Self::Likelihood),
            other => Err(Error::unknown("measure", other, &NAMES).into()),
        }
    }
}

/// The indices of the samples, best first. `takes` are scores with their nats a note.
pub(super) fn ranked(context: &NativeCallContext, takes: &[(midi::Score, f64)], by: &By) -> Fallible<Vec<usize>> {
    let adherence = || takes.iter().map(|(score, _)| chord_adherence(score, &chord_markers(score))).collect::<Vec<_>>();
    let likelihood = || takes.iter().map(|(_, likelihood)| *likelihood).collect::<Vec<_>>();
    let worth: Vec<f64> = match by {
        By::Adherence => adherence(),
        By::Likelihood => likelihood(),
        By::Both => {
            let ranks = [places(&adherence()), places(&likelihood())];
            let defect = |score: &midi::Score| if Defects::of(score).any() { takes.len() as f64 * 2.0 } else { 0.0 };
            takes.iter().enumerate().map(|(i, (score, _))| -(ranks[0][i] + ranks[1][i]) - defect(score)).collect()
        }
        By::Measure(f) => {
            let measure = |(score, _): &(midi::Score, f64)| {
                let value: Dynamic = f.call_within_context(context, (Score::new(score.clone()),))?;
                Ok(number("generate: what by gives for a take", &value)?)
            };
            takes.iter().map(measure).collect::<Fallible<_>>()?
        }
    };
    let mut order: Vec<usize> = (0..takes.len()).collect();
    order.sort_by(|&a, &b| better(worth[a], worth[b]));
    Ok(order)
}

/// Descending order, NaN last.
fn better(a: f64, b: f64) -> std::cmp::Ordering {
    a.is_nan().cmp(&b.is_nan()).then(b.total_cmp(&a))
}

/// The rank of each value, 0 for the highest; equal values share the mean of their ranks.
fn places(values: &[f64]) -> Vec<f64> {
    let beats = |a: f64, b: f64| better(b, a) == std::cmp::Ordering::Less;
    let rank = |&value: &f64| {
        let above = values.iter().filter(|&&other| beats(value, other)).count() as f64;
        let same = values.iter().filter(|&&other| !beats(value, other) && !beats(other, value)).count() as f64;
        above + (same - 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_is_first_and_what_is_no_number_last() {
        assert_eq!(places(&[0.2, 0.9, f64::NAN, 0.5]), [2.0, 0.0, 3.0, 1.0]);
        assert_eq!(places(&[1.0, 1.0, 0.0]), [0.5, 0.5, 2.0]);
    }
}
