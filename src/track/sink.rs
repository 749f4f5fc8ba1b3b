//! The interface of trackers.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Media, Status};
use crate::error::Result;

/// The description of a run at its start.
#[derive(Debug, Clone)]
pub(super) struct Beginning {
    pub(super) name: String,
    /// Eight letters and digits.
    pub(super) id: String,
    pub(super) project: String,
    pub(super) config: Map<String, Value>,
    pub(super) tags: Vec<String>,
    pub(super) notes: String,
    /// The folder of the run.
    pub(super) folder: PathBuf,
    /// Seconds since 1970.
    pub(super) time: f64,
    /// For a resumed run, the step from which it continues; later values are removed.
    pub(super) from_step: Option<u64>,
}

/// The step and time of a log call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) step: u64,
    /// Seconds since 1970.
    pub(super) time: f64,
    /// Seconds since the run began.
    pub(super) runtime: f64,
}

/// A destination of logged values. After an error it is not called again.
pub(super) trait Sink: Send {
    fn name(&self) -> &'static str;

    fn log(&mut self, at: Moment, values: &[(String, f64)]) -> Result<()>;

    /// Logs a media item, which is already in `file`.
    fn media(&mut self, at: Moment, name: &str, media: &Media, file: &Path) -> Result<()>;

    fn finish(&mut self, at: Moment, status: Status) -> Result<()>;
}

/// A nested configuration as `(key, text)` pairs; the keys of nested maps are joined by dots.
pub(super) fn flatten_config(prefix: &str, config: &Map<String, Value>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (key, value) in config {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(inner) => all.extend(flatten_config(&key, inner)),
            Value::String(text) => all.push((key, text.clone())),
            other => all.push((key, other.to_string())),
        }
    }
    all
}
