//! Datasets on disk, in the layout of Hugging Face `save_to_disk` (Arrow IPC streams and JSON).

use std::path::Path;

use crate::data::Dataset;
use crate::error::Result;

impl Dataset {
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
}
