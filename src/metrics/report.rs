//! The headline figures of a model on held-out pieces.

use crate::data::Split;
use crate::error::Result;
use crate::nn::Model;
use crate::progress::Progress;
use crate::tokens::Tokenizer;

/// Teacher-forced figures over a split. Accuracies are shares of top-1 predictions that are right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Mean cross-entropy, nats a token.
    pub loss: f64,
    /// `exp(loss)`.
    pub perplexity: f64,
    /// Right predictions where the true token begins a pitch.
    pub note_accuracy: f64,
    /// Right predictions where the true token is about time.
    pub rhythm_accuracy: f64,
    /// Share of the predicted pitches that are chord tones of the chord in force (NaN where no chords are given).
    pub harmonic_consistency: f64,
    /// Tokens measured.
    pub tokens: u64,
}

/// Measures a model on a split.
///
/// # Errors
/// An empty split, or a stop.
pub fn evaluate(_model: &Model, _tokenizer: &Tokenizer, _split: &Split, _progress: &Progress) -> Result<Report> {
    todo!()
}
