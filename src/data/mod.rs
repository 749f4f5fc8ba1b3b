//! Datasets: folders of MIDI as rows of ids, split by piece, augmented, encoded, packed, shuffled and saved.
//!
//! [`scan()`] finds files; `piece` reads and trims each, takes or recognises its chords and encodes it once;
//! `partition` holds pieces out; `encode` makes augmented copies; `openings` repeats style and chord where a row begins
//! inside a piece; [`Split`] packs ids into rows; [`Batches`] iterates over them, as pairs of chart and events for models
//! with an encoder (`pairs`). Every random draw depends on the seed and an index only, never on the order in which threads
//! finish: two builds with the same seed give the same bytes.

mod augment;
mod batch;
mod batches;
mod dataset;
mod encode;
mod ids;
mod openings;
mod options;
mod pairs;
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
pub use batch::{Batch, EncoderInput, IGNORE};
pub use batches::Batches;
pub use dataset::Dataset;
pub(crate) use options::stored;
pub use options::{ChordSource, Condition, DatasetOptions, Packing};
pub use scan::scan;
pub use skipped_file::SkippedFile;
pub use source::Source;
pub use split::Split;
pub use stats::Stats;
