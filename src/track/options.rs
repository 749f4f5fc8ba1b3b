//! The options of a tracked run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The options of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// The folder of all runs ("experiments").
    pub dir: PathBuf,
    /// Destinations beside the JSON lines: "jsonl", "tensorboard", "wandb", "mlflow" (default: none).
    pub sinks: Vec<String>,
    /// The configuration of the run, for comparison.
    pub config: Map<String, Value>,
    /// The project at Weights & Biases, the experiment at MLflow ("etude").
    pub project: String,
    /// Words to find the run by.
    pub tags: Vec<String>,
    /// What the run is for.
    pub notes: String,
    /// The address of the MLflow server ("http://127.0.0.1:5000").
    pub mlflow_uri: String,
    /// Whether to resume a run of this name (default: false; a new run gets a number).
    pub resume: bool,
    /// For a resumed run, the step from which it continues: values logged after it are removed, so that trackers have
    /// each step once (default: none).
    pub from_step: Option<u64>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            dir: "experiments".into(),
            sinks: Vec::new(),
            config: Map::new(),
            project: "etude".into(),
            tags: Vec::new(),
            notes: String::new(),
            mlflow_uri: "http://127.0.0.1:5000".into(),
            resume: false,
            from_step: None,
        }
    }
}

impl RunOptions {
    /// The available sinks.
    pub const SINKS: [&'static str; 4] = ["jsonl", "tensorboard", "wandb", "mlflow"];

    /// # Errors
    /// Names the sink that there is not, with the nearest.
    pub fn validate(&self) -> Result<()> {
        match self.sinks.iter().find(|name| !Self::SINKS.contains(&name.as_str())) {
            Some(name) => Err(Error::unknown("sink", name, &Self::SINKS)),
            None => Ok(()),
        }
    }
}
