//! What a caller may choose about a dataset.

use serde::{Deserialize, Serialize};

use crate::data::Augment;

/// The options of [`Dataset::build`](crate::data::Dataset::build).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatasetOptions {
    /// Ids in a row.
    #[serde(alias = "seq_len")]
    pub max_seq_len: usize,
    /// Copies of the training pieces.
    pub augment: Augment,
    /// Share of the pieces held out, 0 to 1; at least one piece when above 0.
    pub val: f64,
    /// Where chord tokens come from.
    pub chords: ChordSource,
    /// Share of the training copies that are encoded without chords, so that the model also plays without.
    pub chord_dropout: f64,
    /// Decides the split, the order and the draws.
    pub seed: u64,
}

impl Default for DatasetOptions {
    fn default() -> Self {
        Self {
            max_seq_len: 512,
            augment: Augment::default(),
            val: 0.1,
            chords: ChordSource::Auto,
            chord_dropout: 0.0,
            seed: 0,
        }
    }
}

/// Where the chord tokens of a piece come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum ChordSource {
    /// Its markers if it has any, else what is heard in it.
    #[default]
    Auto,
    /// Its markers only.
    Markers,
    /// What is heard in it.
    Detect,
    /// No chords.
    None,
}
