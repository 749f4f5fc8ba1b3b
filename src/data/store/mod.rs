//! Datasets on disk, in the layout of Hugging Face `save_to_disk`, so that both sides can read the other's.
//!
//! ```text
//! dir/dataset_dict.json            {"splits": ["train", "validation"]}
//! dir/train/data-00000-of-00001.arrow    Arrow IPC stream, one column input_ids: List(int32)
//! dir/train/{state,dataset_info}.json    what datasets.load_from_disk asks for
//! dir/validation/…                       the same
//! dir/tokenizer.json               how the ids were made
//! dir/etude.json                   options, files, what was skipped
//! ```
//! Layout: `datasets` 5.2.0, `arrow_dataset.py` and `dataset_dict.py`.

mod arrow;
mod folder;
mod meta;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::data::split::VocabularyRules;
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::tokens::Tokenizer;

use meta::{About, Sides};

/// Names of a held-out split; the first is ours.
const HELD_OUT: [&str; 5] = ["validation", "val", "valid", "dev", "test"];
/// The list of the splits.
const SPLITS: &str = "dataset_dict.json";
/// The tokenizer of the ids.
const TOKENIZER: &str = "tokenizer.json";
/// Our own properties.
const ABOUT: &str = "etude.json";
/// The files of a split; a folder with it at the top is one split.
const STATE: &str = "state.json";

impl Dataset {
    /// Writes the dataset in the layout of Hugging Face `save_to_disk`, with the tokenizer beside it. A dataset that
    /// is there is replaced, all at once; anything else is left alone.
    ///
    /// # Errors
    /// Names the path when the file system refuses, or when something other than a dataset is there.
    pub fn save(&self, dir: &Path) -> Result<()> {
        folder::replace(dir, |new| {
            folder::write_json(&new.join(SPLITS), &Sides { splits: vec!["train".into(), HELD_OUT[0].into()] })?;
            for (name, split) in [("train", &self.train), (HELD_OUT[0], &self.val)] {
                arrow::write(split, &new.join(name))?;
            }
            self.tokenizer.save(new.join(TOKENIZER))?;
            folder::write_json(&new.join(ABOUT), &About::of(self))
        })
    }

    /// True when a dataset was saved in this folder.
    pub fn is_saved(dir: &Path) -> bool {
        [SPLITS, STATE].iter().any(|file| dir.join(file).is_file())
    }

    /// Reads what [`Dataset::save`] or the `datasets` library wrote. A held-out split may also be called `test`; the
    /// ids are in the column `input_ids`; rows of different lengths are padded.
    ///
    /// # Errors
    /// Names the file that is missing or wrong, or the row and the id that the tokenizer does not know.
    pub fn load(dir: &Path) -> Result<Self> {
        let (train, val) = sides(dir)?;
        let tokenizer_file = dir.join(TOKENIZER);
        if !tokenizer_file.is_file() {
            return Err(Error::mistake(format!("{} has no {TOKENIZER}", dir.display())).with_hint(format!(
                "ids mean nothing without it: tokenizer(…).save(\"{}\") with the tokenizer that made them",
                tokenizer_file.display()
            )));
        }
        let tokenizer = Arc::new(Tokenizer::load(&tokenizer_file)?);
        let rules = Arc::new(VocabularyRules::new(&tokenizer));
        let about_file = dir.join(ABOUT);
        let about: About = if about_file.is_file() { folder::read_json(&about_file)? } else { About::default() };
        let train = arrow::read(&train, &rules)?;
        let val = match val {
            Some(val) => arrow::read(&val, &rules)?,
            None => Split::from_rows(&[], &tokenizer)?,
        };
        about.check_rows(&about_file, [train.len(), val.len()])?;
        // Absolute, so that it is found from another working folder.
        let source = Some(dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf()));
        Self { source, ..about.dataset(train, val, tokenizer) }.conditioned()
    }
}

/// The folders of the two splits.
fn sides(dir: &Path) -> Result<(std::path::PathBuf, Option<std::path::PathBuf>)> {
    if !dir.join(SPLITS).is_file() {
        if dir.join(STATE).is_file() {
            return Ok((dir.to_path_buf(), None));
        }
        let missing = fs::metadata(dir).is_err();
        let what = if missing { "there is no folder".into() } else { format!("no {SPLITS} in") };
        return Err(Error::mistake(format!("{what} {}", dir.display()))
            .with_hint("a saved dataset is a folder that dataset.save or save_to_disk wrote"));
    }
    let Sides { splits } = folder::read_json(&dir.join(SPLITS))?;
    let known = |name: &str| splits.iter().any(|s| s == name).then(|| dir.join(name));
    let Some(train) = known("train") else {
        return Err(Error::broken(format!("{} has no split 'train'", dir.join(SPLITS).display()))
            .with_hint(format!("it has: {}", splits.join(", "))));
    };
    Ok((train, HELD_OUT.iter().find_map(|name| known(name))))
}
