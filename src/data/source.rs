//! Where pieces come from, and what is known of them as a group.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Files and folders whose pieces are treated alike.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// MIDI files, and folders that are searched for them.
    #[serde(with = "crate::forms::paths")]
    pub paths: Vec<PathBuf>,
    /// What kind of music it is, for tokenizers with styles; every copy begins with its token.
    pub style: Option<String>,
    /// Mean number of copies of a training piece, in place of `augment.sample`: 2.5 makes two or three, 0.3 leaves seven
    /// of ten pieces out.
    pub copies: Option<f64>,
    /// Whether all of it is held out (`true`) or none (`false`), in place of a share of the pieces.
    pub val: Option<bool>,
}

/// More copies than these of one piece are a slip of the hand.
const MOST_COPIES: f64 = 10_000.0;

impl Source {
    /// These paths, with default settings.
    pub fn of(paths: &[PathBuf]) -> Self {
        Self { paths: paths.to_vec(), ..Self::default() }
    }

    /// Whether all settings are the defaults.
    pub(super) fn is_plain(&self) -> bool {
        self.style.is_none() && self.copies.is_none() && self.val.is_none()
    }

    /// Checks that the numbers make sense.
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
