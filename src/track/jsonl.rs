//! The metrics of a run as JSON lines, which every run has; each line is written at once.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::sink::{Moment, Sink};
use super::{Media, Status};
use crate::error::{Error, Result};

/// The file in the folder of a run.
pub(super) const FILE: &str = "metrics.jsonl";

/// Appends to `metrics.jsonl`.
#[derive(Debug)]
pub(super) struct Jsonl {
    file: File,
    path: PathBuf,
}

impl Jsonl {
    /// # Errors
    /// Names the file that cannot be opened.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let mut file = opened.map_err(|e| Error::io("cannot write", &path, e))?;
        // After a run that was killed in the middle of a line, a new line begins.
        let text = std::fs::read(&path).unwrap_or_default();
        if text.last().is_some_and(|&last| last != b'\n') {
            file.write_all(b"\n").map_err(|e| Error::io("cannot write", &path, e))?;
        }
        Ok(Self { file, path })
    }

    fn line(&mut self, at: Moment, more: Map<String, Value>) -> Result<()> {
        let mut line = Map::from_iter([("step".into(), json!(at.step)), ("time".into(), json!(at.time))]);
        line.extend(more);
        let text = format!("{}\n", Value::Object(line));
        self.file.write_all(text.as_bytes()).map_err(|e| Error::io("cannot write", &self.path, e))
    }
}

impl Sink for Jsonl {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    /// Values that are not finite are null: JSON cannot represent them.
    fn log(&mut self, at: Moment, values: &[(String, f64)]) -> Result<()> {
        self.line(at, values.iter().map(|(name, value)| (name.clone(), json!(value))).collect())
    }

    fn media(&mut self, at: Moment, name: &str, _: &Media, file: &Path) -> Result<()> {
        let file = Path::new("media").join(file.file_name().unwrap_or_default());
        self.line(at, Map::from_iter([("media".into(), json!({ name: file }))]))
    }

    fn finish(&mut self, _: Moment, _: Status) -> Result<()> {
        self.file.sync_all().map_err(|e| Error::io("cannot write", &self.path, e))
    }
}
