//! YAML files.

use std::path::Path;

use serde_json::Value;

use crate::error::Result;

/// Reads a YAML file into a map.
///
/// # Errors
/// Names the file, the line and the column.
pub fn read_yaml(_path: &Path) -> Result<Value> {
    todo!()
}
