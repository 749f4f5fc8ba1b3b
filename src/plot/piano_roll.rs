//! A score as a piano roll of Unicode blocks.

use crate::midi::Score;

/// Time from left to right over at most `width` columns, pitch from bottom to top over at most `height` lines, a ruler
/// of seconds below, chord markers above.
pub fn piano_roll(_score: &Score, _width: usize, _height: usize) -> String {
    todo!()
}
