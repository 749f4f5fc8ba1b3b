//! Chords that a file carries as markers: `chord:Cm7`, in the spellings of the Weimar Jazz Database and OpenEWLD.

use crate::harmony::Chord;
use crate::midi::Score;

/// A chord and the moment it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct ChordAt {
    /// Tick in its score (0 when it stands in no score).
    pub tick: u32,
    /// Beats (quarters) since the start.
    pub beat: f64,
    /// Seconds since the start.
    pub seconds: f64,
    /// The chord.
    pub chord: Chord,
}

/// The chords in the markers of a score, in order; a symbol that cannot be read is left out.
pub fn chord_markers(_score: &Score) -> Vec<ChordAt> {
    todo!()
}

/// The symbol in the text of a chord marker.
pub fn marker_symbol(text: &str) -> Option<&str> {
    text.strip_prefix("chord:").map(str::trim)
}

/// The text of a chord marker `semitones` higher; `None` when the text is no chord marker that can be read.
pub fn transpose_marker(text: &str, semitones: i32) -> Option<String> {
    let chord: Chord = marker_symbol(text)?.parse().ok()?;
    Some(format!("chord:{}", chord.transpose(semitones)))
}
