//! Scores from scores: transposed, stretched, cut, joined.

use crate::error::Result;
use crate::midi::Score;

impl Score {
    /// Moves every pitched note by `semitones` (drums stay), chord markers and key signatures with them.
    ///
    /// # Errors
    /// Fails when a note would leave 0–127.
    pub fn transpose(&self, _semitones: i32) -> Result<Self> {
        todo!()
    }

    /// Makes everything last `factor` times as long, through the tempo map: ticks stay.
    ///
    /// # Errors
    /// Fails unless `factor` is positive, finite and leaves tempi a MIDI file can say.
    pub fn stretch(&self, _factor: f64) -> Result<Self> {
        todo!()
    }

    /// What sounds between two moments (seconds), moved to the start; notes across an edge are cut there.
    ///
    /// # Errors
    /// Fails unless `0 <= from < to`.
    pub fn slice(&self, _from: f64, _to: f64) -> Result<Self> {
        todo!()
    }

    /// This score and then the other, with its own tempi and metres.
    #[must_use]
    pub fn append(&self, _other: &Self) -> Self {
        todo!()
    }

    /// Without the silence before the first note (whole bars only when the score has metres that matter).
    #[must_use]
    pub fn trim(&self) -> Self {
        todo!()
    }
}
