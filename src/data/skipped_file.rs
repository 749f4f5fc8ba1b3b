//! Files that a dataset leaves out.

use std::path::PathBuf;

/// A file that was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Why it was skipped.
    pub reason: String,
}
