//! Chords: symbols read and written, transposed, voiced, and recognised in a score.

mod adherence;
mod chart;
mod chord;
mod class;
mod markers;
mod quality;
mod recognize;
mod spelling;
mod symbol;
mod templates;
mod voicing;
mod windows;
mod words;

pub use adherence::chord_adherence;
pub use chart::{Bar, Chart};
pub use chord::Chord;
pub use class::{ChordClass, Quality};
pub use markers::{ChordAt, chord_markers, marker_symbol, transpose_marker};
pub use recognize::recognize;
pub use spelling::Spelling;
