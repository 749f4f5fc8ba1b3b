//! Ticks to seconds and back, along a tempo map.

use crate::midi::Score;

/// A tempo map made ready for look-ups in `O(log n)`.
#[derive(Debug, Clone)]
pub struct Clock {
    /// (tick, seconds, seconds per tick) of every tempo change, the first at tick 0.
    segments: Vec<(u32, f64, f64)>,
}

impl Clock {
    /// The clock of a score.
    pub fn new(_score: &Score) -> Self {
        Self { segments: Vec::new() }
    }

    /// The moment of a tick, in seconds.
    pub fn seconds(&self, _tick: u32) -> f64 {
        let _ = &self.segments;
        todo!()
    }

    /// The tick nearest to a moment in seconds.
    pub fn tick(&self, _seconds: f64) -> u32 {
        todo!()
    }
}
