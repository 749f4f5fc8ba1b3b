//! A dataset: pieces in, two splits of packed rows out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data::{DatasetOptions, Split};
use crate::error::Result;
use crate::progress::Progress;
use crate::tokens::{Kind, Tokenizer};

/// Packed rows for training and for measuring, and where they came from.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Rows to train on.
    pub train: Split,
    /// Rows held out: other pieces, never other windows of the same.
    pub val: Split,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// The files that were skipped, and why.
    pub broken: Vec<Broken>,
    /// How the ids were made.
    pub tokenizer: Arc<Tokenizer>,
    /// What was asked for.
    pub options: DatasetOptions,
}

/// A file that was skipped.
#[derive(Debug, Clone)]
pub struct Broken {
    /// Where it is.
    pub path: PathBuf,
    /// Why it was skipped.
    pub reason: String,
}

impl Dataset {
    /// Reads, splits, augments, encodes and packs the pieces under `paths`, on all cores.
    ///
    /// # Errors
    /// Fails when a path does not exist, when no file can be read, when an option makes no sense, or when stopped.
    pub fn build(
        _paths: &[PathBuf],
        _tokenizer: Arc<Tokenizer>,
        _options: &DatasetOptions,
        _progress: &Progress,
    ) -> Result<Self> {
        todo!()
    }

    /// Writes the dataset in the layout of Hugging Face `save_to_disk`, with the tokenizer beside it.
    ///
    /// # Errors
    /// Names the path when the file system refuses.
    pub fn save(&self, _dir: &Path) -> Result<()> {
        todo!()
    }

    /// Reads what [`Dataset::save`] wrote.
    ///
    /// # Errors
    /// Names the file that is missing or wrong.
    pub fn load(_dir: &Path) -> Result<Self> {
        todo!()
    }

    /// Counts of everything a user would ask about.
    pub fn stats(&self) -> Stats {
        todo!()
    }
}

/// Counts of a dataset, as tables and tests want them.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// Files read.
    pub files: usize,
    /// Files skipped.
    pub broken: usize,
    /// Rows of the two splits: train, val.
    pub rows: [usize; 2],
    /// Ids of the two splits, padding left out.
    pub tokens: [u64; 2],
    /// Ids in a row.
    pub width: usize,
    /// How often each kind of token occurs in the training rows, the commonest first.
    pub kinds: Vec<(Kind, u64)>,
}
