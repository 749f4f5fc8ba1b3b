//! Finds MIDI files.

use std::path::{Path, PathBuf};

use crate::error::Result;

/// The `.mid` and `.midi` files in a folder, recursively and sorted; a file is itself.
///
/// # Errors
/// Names a path that does not exist or a folder without MIDI.
pub fn scan(_path: &Path) -> Result<Vec<PathBuf>> {
    todo!()
}
