//! More pieces from few: 12 transpositions × 3 tempi make 36 of each.

use serde::{Deserialize, Serialize};

/// Which copies are made of every training piece.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// How many transpositions, the original among them: 12 means −5 to +6 semitones. A copy that would leave
    /// the keyboard (21–108) is moved by an octave or left out.
    pub transpose: usize,
    /// Tempo factors: 1.1 plays a tenth faster.
    pub tempo: Vec<f64>,
    /// Draw only so many of the copies for each piece (all when absent).
    pub sample: Option<usize>,
}

impl Default for Augment {
    fn default() -> Self {
        Self { transpose: 1, tempo: vec![1.0], sample: None }
    }
}
