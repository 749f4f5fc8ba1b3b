//! What a caller may choose about a run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// What a caller may choose about a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// The folder of all runs ("experiments").
    pub dir: PathBuf,
    /// Where values go beside the JSON lines: "jsonl", "tensorboard", "wandb", "mlflow" (none).
    pub sinks: Vec<String>,
    /// What the run is made with, for comparing.
    pub config: Map<String, Value>,
    /// The project at Weights & Biases, the experiment at MLflow ("etude").
    pub project: String,
    /// Words to find the run by.
    pub tags: Vec<String>,
    /// What the run is for.
    pub notes: String,
    /// The address of the MLflow server ("http://127.0.0.1:5000").
    pub mlflow_uri: String,
    /// Whether a run of this name that is there already goes on (false: the new one gets a number).
    pub resume: bool,
    /// Of a run that goes on: the step it goes on from. What was logged after it is taken back, so that trackers have
    /// each step once (nothing is).
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
    /// The sinks there are.
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
