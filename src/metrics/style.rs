//! How near the style of some pieces is to that of a corpus, feature by feature (Yang & Lerch 2018, "On the evaluation of
//! generative models in music"; formulas of their `mgeval`).
//!
//! Every piece has ten features, numbers or vectors ([`Features`]). For one feature, let `A` be the distances between
//! the pieces of the corpus (each pair, both ways) and `B` those from each of the other pieces to each of the corpus,
//! Euclidean both. With Gaussian kernel densities `p` of `A` and `q` of `B` (bandwidth by Scott's rule, `σ n^(−1/5)`):
//!
//! ```text
//! overlap = ∫ min(p, q)                      over the span of both; 1 is the same, 0 nothing in common
//! KL      = Σ p̂ᵢ ln(p̂ᵢ / q̂ᵢ)                  p at 1000 even places of the span of A, q at 1000 of that of B,
//!                                            both scaled to a sum of 1, as `mgeval.utils.kl_dist` has it
//! ```
//! A feature in which either side has no spread has no density, and its figures are NaN.

use rayon::prelude::*;

use super::features::{Features, NAMES};
use crate::error::{Error, Result};
use crate::midi::Score;
use crate::progress::Progress;

/// The similarity of some pieces to a corpus in one feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Likeness {
    /// "pitch_class_histogram".
    pub feature: &'static str,
    /// Overlap area of the densities, 0 to 1.
    pub overlap: f64,
    /// Kullback–Leibler divergence in nats.
    pub kl: f64,
    /// Mean distance within the corpus.
    pub within: f64,
    /// Mean distance from the pieces to the corpus.
    pub across: f64,
}

/// Compares pieces with a corpus, by feature.
///
/// # Errors
/// Refuses fewer than three pieces in the corpus or none to compare; `interrupted`, when the user cancels.
pub fn style(pieces: &[Score], corpus: &[Score], progress: &Progress) -> Result<Vec<Likeness>> {
    if corpus.len() < 3 || pieces.is_empty() {
        return Err(Error::mistake(format!(
            "style compares at least one piece with at least three, not {} with {}",
            pieces.len(),
            corpus.len()
        ))
        .with_hint("take more takes, or a larger corpus"));
    }
    let heard = |scores: &[Score]| -> Vec<Features> { scores.par_iter().map(Features::of).collect() };
    let (pieces, corpus) = (heard(pieces), heard(corpus));
    let mut task = progress.task("comparing", Some(NAMES.len() as u64), "features");
    let mut lines = Vec::with_capacity(NAMES.len());
    for (at, &feature) in NAMES.iter().enumerate() {
        let all: Vec<&[f64]> = corpus.iter().map(|piece| piece.values(at)).collect();
        let mut within = Vec::with_capacity(all.len() * (all.len() - 1));
        for (i, a) in all.iter().enumerate() {
            within.extend(all.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, b)| distance(a, b)));
        }
        let across: Vec<f64> =
            pieces.iter().flat_map(|piece| all.iter().map(|b| distance(piece.values(at), b))).collect();
        lines.push(Likeness {
            feature,
            overlap: overlap(&within, &across),
            kl: kl(&within, &across),
            within: mean(&within),
            across: mean(&across),
        });
        task.advance(1)?;
    }
    Ok(lines)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A Gaussian kernel density (`scipy.stats.gaussian_kde` in one dimension).
struct Density<'a> {
    points: &'a [f64],
    bandwidth: f64,
}

impl<'a> Density<'a> {
    /// The density of points; `None` where they have no spread.
    fn of(points: &'a [f64]) -> Option<Self> {
        let n = points.len() as f64;
        let middle = mean(points);
        let variance = points.iter().map(|x| (x - middle).powi(2)).sum::<f64>() / (n - 1.0);
        let bandwidth = variance.sqrt() * n.powf(-0.2);
        (bandwidth.is_finite() && bandwidth > 0.0).then_some(Self { points, bandwidth })
    }

    fn at(&self, x: f64) -> f64 {
        let kernel = |point: &f64| (-0.5 * ((x - point) / self.bandwidth).powi(2)).exp();
        let scale = self.points.len() as f64 * self.bandwidth * (2.0 * std::f64::consts::PI).sqrt();
        self.points.iter().map(kernel).sum::<f64>() / scale
    }
}

fn span(points: &[f64]) -> (f64, f64) {
    points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)))
}

/// `n` equally spaced points of an interval, ends included.
fn places((low, high): (f64, f64), n: usize) -> impl IndexedParallelIterator<Item = f64> {
    (0..n).into_par_iter().map(move |i| low + (high - low) * i as f64 / (n - 1) as f64)
}

/// ∫ min(p, q) over the span of both, by the trapezoidal rule.
fn overlap(a: &[f64], b: &[f64]) -> f64 {
    const STEPS: usize = 2000;
    let (Some(p), Some(q)) = (Density::of(a), Density::of(b)) else { return f64::NAN };
    let ((low_a, high_a), (low_b, high_b)) = (span(a), span(b));
    let both = (low_a.min(low_b), high_a.max(high_b));
    let values: Vec<f64> = places(both, STEPS + 1).map(|x| p.at(x).min(q.at(x))).collect();
    let ends = (values[0] + values[STEPS]) / 2.0;
    (values.iter().sum::<f64>() - ends) * (both.1 - both.0) / STEPS as f64
}

fn kl(a: &[f64], b: &[f64]) -> f64 {
    const PLACES: usize = 1000;
    let (Some(p), Some(q)) = (Density::of(a), Density::of(b)) else { return f64::NAN };
    let shares = |density: &Density<'_>, span| {
        let values: Vec<f64> = places(span, PLACES).map(|x| density.at(x)).collect();
        let sum: f64 = values.iter().sum();
        values.into_iter().map(move |value| value / sum)
    };
    let terms = shares(&p, span(a)).zip(shares(&q, span(b)));
    terms.map(|(p, q)| if p > 0.0 { p * (p / q).ln() } else { 0.0 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SciPy 1.17 on `a = [abs(math.sin(i * 0.7)) * 3 + 1 for i in range(30)]` and
    /// `b = [abs(math.cos(i * 0.31)) * 2 + 2 for i in range(40)]`, with `mgeval.utils.overlap_area(a, b)` and
    /// `kl_dist(a, b)` written out: `quad(lambda x: min(p(x), q(x)), lowest, highest)[0]`,
    /// `entropy(p(linspace(min(a), max(a), 1000)), q(linspace(min(b), max(b), 1000)))`.
    #[test]
    fn overlap_and_divergence_are_those_of_scipy() {
        let a: Vec<f64> = (0..30).map(|i| (f64::from(i) * 0.7).sin().abs() * 3.0 + 1.0).collect();
        let b: Vec<f64> = (0..40).map(|i| (f64::from(i) * 0.31).cos().abs() * 2.0 + 2.0).collect();
        let (ours, divergence) = (overlap(&a, &b), kl(&a, &b));
        assert!((ours - 0.646_698_260_689_450_1).abs() < 1e-6, "{ours}");
        assert!((divergence - 0.000_847_883_985_623_534_8).abs() < 1e-9, "{divergence}");
        let alike = overlap(&a, &a);
        assert!((0.7..1.0).contains(&alike), "all but the tails beyond the span: {alike}");
        assert_eq!(kl(&a, &a), 0.0);
        assert!(overlap(&[1.0; 5], &a).is_nan() && kl(&a, &[1.0]).is_nan(), "no spread, no density");
    }
}
