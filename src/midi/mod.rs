//! Scores: notes, tempi, metres, pedal and markers, read from and written to Standard MIDI Files. Events that a score
//! does not interpret (pitch bends, controllers, lyrics, …) are kept and written again.

mod append;
mod bars;
mod beats;
mod clock;
mod cut;
mod edit;
mod event;
mod overlay;
mod read;
mod repair;
mod score;
mod sounds;
mod state;
mod write;

pub use beats::Beat;
pub use clock::Clock;
#[cfg(test)]
pub(crate) use edit::tests::score as two_notes;
pub use event::{Event, Message};
pub use repair::{Fault, Repair};
pub use score::{Key, Marker, Meter, Note, Pedal, Score, Sound, Tempo, Track};
