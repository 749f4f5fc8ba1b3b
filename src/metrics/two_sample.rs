//! The classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv:1610.06545): a classifier is trained to tell two sets
//! of pieces apart; an accuracy near 0.5 on unseen pieces means that it cannot.
//!
//! The classifier is gradient-boosted regression trees on figures of each piece; its accuracy is measured by five-fold
//! cross-validation. A fold is a range of each set in its order, so that neighbouring excerpts of one piece are nearly
//! always in the same fold.

use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::xgboost::{XGRegressor, XGRegressorParameters};

use crate::error::{Error, Result};
use crate::metrics::features::Features;
use crate::metrics::intervals::bootstrap;
use crate::metrics::{Interval, PieceFigures};
use crate::midi::Score;
use crate::progress::Progress;

/// The number of folds.
const FOLDS: usize = 5;
/// The fewest pieces of each set.
const FEWEST: usize = 10;
/// The number of trees, their depth, and the learning rate.
const TREES: (usize, u16, f64) = (40, 3, 0.2);

/// How well a classifier tells two sets of pieces apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoSample {
    /// The accuracy; 0.5 is chance, 1 is perfect.
    pub accuracy: f64,
    /// Its 95 % confidence interval.
    pub interval: Interval,
    /// The number of pieces of each set: of the larger set, as many as the smaller one has, evenly chosen.
    pub pieces: usize,
}

/// Trains and evaluates a classifier of `first` against `second`.
///
/// # Errors
/// A set of fewer than ten pieces; `interrupted`, when the user cancels.
pub fn two_sample_test(first: &[Score], second: &[Score], progress: &Progress) -> Result<TwoSample> {
    let pieces = first.len().min(second.len());
    if pieces < FEWEST {
        return Err(Error::mistake(format!(
            "the sets have {} and {} pieces, but a test needs {FEWEST} of each",
            first.len(),
            second.len()
        )));
    }
    let mut rows = Vec::with_capacity(2 * pieces);
    for (set, label) in [(first, 0.0), (second, 1.0)] {
        for place in 0..pieces {
            progress.check()?;
            rows.push((place, label, figures(&set[place * set.len() / pieces])));
        }
    }
    let fold_of = |place: usize| place * FOLDS / pieces;
    let mut right = Vec::with_capacity(rows.len());
    for fold in 0..FOLDS {
        progress.check()?;
        let side = |held: bool| rows.iter().filter(move |row| (fold_of(row.0) == fold) == held);
        let matrix = |held| DenseMatrix::from_2d_vec(&side(held).map(|row| row.2.clone()).collect::<Vec<_>>());
        let labels: Vec<f64> = side(false).map(|row| row.1).collect();
        let (count, depth, rate) = TREES;
        let parameters = XGRegressorParameters::default()
            .with_n_estimators(count)
            .with_max_depth(depth)
            .with_learning_rate(rate)
            .with_min_child_weight(2);
        let failed = |e: smartcore::error::Failed| Error::mistake(format!("the classifier cannot be trained: {e}"));
        let classifier = XGRegressor::fit(&matrix(false).map_err(failed)?, &labels, parameters).map_err(failed)?;
        let guesses = classifier.predict(&matrix(true).map_err(failed)?).map_err(failed)?;
        right.extend(guesses.iter().zip(side(true)).map(|(guess, row)| f64::from((*guess > 0.5) == (row.1 > 0.5))));
    }
    let mean = |answers: &[&f64]| [answers.iter().copied().sum::<f64>() / answers.len() as f64];
    let [accuracy] = mean(&right.iter().collect::<Vec<_>>());
    let [interval] = bootstrap(&right, mean);
    Ok(TwoSample { accuracy, interval, pieces })
}

/// The inputs of the classifier for a piece; none depends on the key.
fn figures(score: &Score) -> Vec<f64> {
    let sounds = score.pitched_sounds();
    let seconds = sounds.iter().fold(0.0_f64, |end, sound| end.max(sound.end)).max(0.1);
    let lengths: Vec<f64> = sounds.iter().map(|sound| sound.end - sound.start).collect();
    let gaps: Vec<f64> = sounds.windows(2).map(|pair| pair[1].start - pair[0].start).collect();
    let leaps: Vec<f64> =
        sounds.windows(2).map(|pair| (f64::from(pair[1].pitch) - f64::from(pair[0].pitch)).abs()).collect();
    let pitches: Vec<f64> = sounds.iter().map(|sound| f64::from(sound.pitch)).collect();
    let velocities: Vec<f64> = sounds.iter().map(|sound| f64::from(sound.velocity)).collect();
    let mut seen = vec![sounds.len() as f64 / seconds];
    for values in [&lengths, &gaps, &leaps, &pitches, &velocities] {
        seen.extend(spread(values));
    }
    let figures = PieceFigures::of(score).values();
    seen.extend(PieceFigures::NAMES.iter().zip(figures).filter(|(name, _)| **name != "notes").map(|(_, value)| value));
    let features = Features::of(score);
    seen.extend(features.of_name("note_length_histogram"));
    seen.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = 0.0);
    seen
}

/// Mean, standard deviation, 10th and 90th percentile; zeros of an empty list.
fn spread(values: &[f64]) -> [f64; 4] {
    if values.is_empty() {
        return [0.0; 4];
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    [mean, variance.sqrt(), at(0.1), at(0.9)]
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::midi::{Note, Track};

    /// A piece of 40 notes drawn from a range of pitches and one of lengths, in ticks.
    fn piece(rng: &mut ChaCha8Rng, pitches: std::ops::Range<u8>, lengths: std::ops::Range<u32>) -> Score {
        let notes = (0..40).map(|place| Note {
            start: place * 120,
            pitch: rng.random_range(pitches.clone()),
            end: place * 120 + rng.random_range(lengths.clone()),
            velocity: 80,
        });
        let notes = notes.collect();
        let mut score = Score::new(480);
        score.tracks = vec![Track { notes, ..Track::default() }];
        score
    }

    fn set(seed: u64, pitches: std::ops::Range<u8>, lengths: std::ops::Range<u32>) -> Vec<Score> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..40).map(|_| piece(&mut rng, pitches.clone(), lengths.clone())).collect()
    }

    #[test]
    fn sets_of_one_kind_are_not_told_apart_and_others_are() {
        let test = |a: &[Score], b: &[Score]| two_sample_test(a, b, &Progress::silent()).expect("enough pieces");
        let same = test(&set(1, 40..80, 20..200), &set(2, 40..80, 20..200));
        assert_eq!(same.pieces, 40);
        assert!((0.3..0.7).contains(&same.accuracy), "{same:?}");
        assert!(same.interval.low < 0.5 && same.interval.high > 0.5, "{same:?}");
        let shorter = test(&set(1, 40..80, 20..200), &set(2, 40..80, 20..110));
        assert!(shorter.accuracy > 0.85 && shorter.interval.low > 0.7, "{shorter:?}");
    }

    #[test]
    fn a_transposed_set_of_unequal_size_is_taken_evenly_and_few_pieces_are_refused() {
        let many = set(3, 40..80, 20..200);
        let test = two_sample_test(&many[..12], &many, &Progress::silent()).expect("enough pieces");
        assert_eq!(test.pieces, 12);
        let refused = two_sample_test(&many[..9], &many, &Progress::silent()).expect_err("too few");
        assert!(refused.to_string().contains("9 and 40 pieces"), "{refused}");
    }

    #[test]
    fn a_piece_without_notes_has_figures() {
        assert!(figures(&Score::new(480)).iter().all(|value| value.is_finite()));
    }
}
