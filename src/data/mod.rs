//! Folders of MIDI become rows of ids: found, split by piece, augmented, encoded, packed, shuffled, saved.

mod augment;
mod batch;
mod dataset;
mod options;
mod scan;
mod split;
mod store;

pub use augment::Augment;
pub use batch::{Batch, Batches, IGNORE};
pub use dataset::{Broken, Dataset, Stats};
pub use options::{ChordSource, DatasetOptions};
pub use scan::scan;
pub use split::Split;
