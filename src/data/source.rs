//! Folders of pieces that a dataset is made of, and the settings of each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Files and folders whose pieces share settings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// MIDI files, and folders that are searched for them.
    #[serde(with = "crate::forms::paths")]
    pub paths: Vec<PathBuf>,
    /// The style token of its pieces, for tokenizers with styles.
    pub style: Option<String>,
    /// Mean number of copies of a training piece, in place of `augment.sample`: 2.5 makes two or three, 0.3 leaves seven
    /// of ten pieces out.
    pub copies: Option<f64>,
    /// Whether all of it is held out (`true`) or none (`false`), in place of a share of the pieces.
    pub val: Option<bool>,
}

/// The most copies of one piece that are accepted.
const MOST_COPIES: f64 = 10_000.0;

impl Source {
    /// A source of these paths with default settings.
    pub fn of(paths: &[PathBuf]) -> Self {
        Self { paths: paths.to_vec(), ..Self::default() }
    }

    /// Whether all settings are the defaults.
    pub(super) fn is_plain(&self) -> bool {
        self.style.is_none() && self.copies.is_none() && self.val.is_none()
    }

    /// Checks the ranges of all settings.
    ///
    /// # Errors
    /// Names the option, its value and what it may be.
    pub(super) fn validate(&self) -> Result<()> {
        match self.copies {
            Some(copies) if !(copies > 0.0 && copies <= MOST_COPIES) => {
                Err(Error::mistake(format!("copies is {copies}, but a source has more than 0 of every piece"))
                    .with_hint(format!("1 plays each piece once; {MOST_COPIES} is the most")))
            }
            _ => Ok(()),
        }
    }
}
