//! Scores: notes, tempi, metres, pedal and markers, read from and written to Standard MIDI Files.

mod clock;
mod edit;
mod read;
mod score;
mod write;

pub use clock::Clock;
pub use score::{Key, Marker, Meter, Note, Pedal, Score, Sound, Tempo, Track};
