//! Folders of MIDI become rows of ids: found, split by piece, augmented, encoded, packed, shuffled, saved.
//!
//! The way of a piece: [`scan()`] finds it, `piece` reads it, trims it, hears its chords and encodes it once;
//! `partition` says which side it is on; `encode` makes its augmented copies; `openings` repeats style and chord where a
//! row begins inside a piece; [`Split`] packs them into rows;
//! [`Batches`] hands the rows out. Every draw comes from the seed and a place, never from the order in which threads
//! finish: two builds with the same seed are the same bytes.

mod augment;
mod batch;
mod batches;
mod dataset;
mod encode;
mod ids;
mod openings;
mod options;
mod partition;
mod piece;
mod random;
mod scan;
mod skipped_file;
mod source;
mod split;
mod stats;
mod store;
mod translate;

pub use augment::Augment;
pub use batch::{Batch, IGNORE};
pub use batches::Batches;
pub use dataset::Dataset;
pub(crate) use options::stored;
pub use options::{ChordSource, DatasetOptions, Packing};
pub use scan::scan;
pub use skipped_file::SkippedFile;
pub use source::Source;
pub use split::Split;
pub use stats::Stats;
