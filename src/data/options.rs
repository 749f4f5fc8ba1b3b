//! The options of a dataset.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::data::Augment;
use crate::error::{Error, Result};

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
    /// Share of the training copies that are encoded without their style.
    pub style_dropout: f64,
    /// Whether pieces that share a row attend to each other.
    pub packing: Packing,
    /// What the encoder of a model reads.
    pub condition: Condition,
    /// The seed of the split, the order and all draws.
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
            style_dropout: 0.0,
            packing: Packing::Masked,
            condition: Condition::None,
            seed: 0,
        }
    }
}

/// The longest row that is accepted.
const LONGEST_ROW: usize = 1 << 20;

impl DatasetOptions {
    /// Checks the ranges of all options.
    ///
    /// # Errors
    /// Names the option, its value and what it may be.
    ///
    /// ```
    /// use etude::data::DatasetOptions;
    ///
    /// assert!(DatasetOptions::default().validate().is_ok());
    /// assert!(DatasetOptions { val: 1.0, ..DatasetOptions::default() }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<()> {
        if !(2..=LONGEST_ROW).contains(&self.max_seq_len) {
            return Err(Error::mistake(format!(
                "max_seq_len is {}, but a row has 2 to {LONGEST_ROW} ids",
                self.max_seq_len
            )));
        }
        if !(0.0..1.0).contains(&self.val) {
            return Err(Error::mistake(format!("val is {}, but it is a share of the pieces", self.val))
                .with_hint("0 holds nothing out, 0.1 a tenth; 1 would leave nothing to train on"));
        }
        for (name, share) in [("chord_dropout", self.chord_dropout), ("style_dropout", self.style_dropout)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::mistake(format!("{name} is {share}, but it is a share, 0 to 1")));
            }
        }
        self.augment.validate()
    }
}

/// Whether pieces that share a row attend to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Each piece attends to itself only, and its positions begin at 0.
    #[default]
    Masked,
    /// Each id attends to all earlier ids of its row, whatever piece they belong to.
    Joined,
}

/// What the encoder of a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Nothing: rows for a decoder only, with in-line chords.
    #[default]
    None,
    /// The chart of each piece: chords, and beats and style where the encoding has them. The decoder reads the events.
    Chords,
}

/// Reads stored options: those written before [`Packing`] existed mean [`Packing::Joined`].
///
/// # Errors
/// Those of the format.
pub(crate) fn stored<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<DatasetOptions, D::Error> {
    let mut options = serde_json::Map::deserialize(from)?;
    options.entry("packing").or_insert_with(|| "joined".into());
    DatasetOptions::deserialize(serde_json::Value::Object(options)).map_err(D::Error::custom)
}

/// Where the chord tokens of a piece come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum ChordSource {
    /// Its markers if it has any, else recognised chords.
    #[default]
    Auto,
    /// Its markers only.
    Markers,
    /// Recognised chords.
    Detect,
    /// No chords.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_options_without_packing_are_joined() {
        #[derive(Deserialize)]
        struct About(#[serde(deserialize_with = "stored")] DatasetOptions);
        let read = |text: &str| serde_json::from_str::<About>(text).expect("options").0;
        let old = read(r#"{ "max_seq_len": 64, "seed": 3 }"#);
        assert_eq!((old.packing, old.max_seq_len, old.seed), (Packing::Joined, 64, 3));
        let new = DatasetOptions { packing: Packing::Masked, ..old };
        assert_eq!(read(&serde_json::to_string(&new).expect("plain")), new);
        assert_eq!(DatasetOptions::default().packing, Packing::Masked);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let refused = |options: DatasetOptions| options.validate().expect_err("it makes no sense").to_string();
        let plain = DatasetOptions::default;
        assert!(plain().validate().is_ok());
        assert!(refused(DatasetOptions { max_seq_len: 1, ..plain() }).contains("max_seq_len is 1"));
        assert!(refused(DatasetOptions { val: 1.0, ..plain() }).contains("val is 1"));
        assert!(refused(DatasetOptions { val: f64::NAN, ..plain() }).contains("val is NaN"));
        assert!(refused(DatasetOptions { chord_dropout: -0.1, ..plain() }).contains("chord_dropout is -0.1"));
        let augment = Augment { tempo: vec![1.0, 0.0], ..Augment::default() };
        assert!(refused(DatasetOptions { augment, ..plain() }).contains("tempo"));
    }
}
