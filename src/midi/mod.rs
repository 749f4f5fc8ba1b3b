//! Scores: notes, tempi, metres, pedal and markers, read from and written to Standard MIDI Files.

mod append;
mod bars;
mod beats;
mod clock;
mod cut;
mod edit;
mod read;
mod score;
mod write;

pub use beats::Beat;
pub use clock::Clock;
pub use score::{Key, Marker, Meter, Note, Pedal, Score, Sound, Tempo, Track};
