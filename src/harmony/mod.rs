//! Chords: symbols parsed and printed, transposed, voiced, and recognised in a score.

mod adherence;
mod chart;
mod chord;
mod class;
mod markers;
mod recognize;
mod spelling;
mod symbol;
mod transpose;
mod voicing;

pub use adherence::chord_adherence;
pub use chart::{Bar, BarMeter, Chart, Section};
pub use chord::Chord;
pub use class::{ChordClass, Quality};
pub use markers::{ChordAt, chord_markers};
pub use recognize::{RecognizedChord, recognize, recognize_until, recognize_where_sure, recognize_with_confidence};
pub use spelling::Spelling;
