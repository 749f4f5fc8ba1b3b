//! A progression: chords in bars, as a lead sheet writes them.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::harmony::{Chord, ChordAt};
use crate::midi::Score;

/// The chords of one bar, which share it equally.
pub type Bar = Vec<Chord>;

/// Chords in bars: `Cmaj7 Am7 | Dm7 G7`. Without bar lines every chord fills a bar.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chart {
    /// The bars.
    pub bars: Vec<Bar>,
}

impl Chart {
    /// All chords in order, `%` written out.
    pub fn chords(&self) -> impl Iterator<Item = &Chord> {
        self.bars.iter().flatten()
    }

    /// When each chord begins, at 4 beats a bar: beat and seconds at `tempo` beats per minute.
    pub fn onsets(&self, _tempo: f64) -> Vec<ChordAt> {
        todo!()
    }

    /// The chart `semitones` higher.
    #[must_use]
    pub fn transpose(&self, _semitones: i32) -> Self {
        todo!()
    }

    /// Voiced on a piano in close position over its bass, 4/4 at `tempo`, with `chord:` markers.
    pub fn score(&self, _tempo: f64) -> Score {
        todo!()
    }
}

impl FromStr for Chart {
    type Err = Error;

    /// # Errors
    /// Names the symbol that cannot be read and its column.
    fn from_str(_text: &str) -> Result<Self> {
        todo!()
    }
}
