//! One trial of a sweep.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The state of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is under way.
    Running,
    /// It came to its end.
    Finished,
    /// It lagged behind and was stopped.
    Stopped,
    /// It broke off with an error.
    Failed,
    /// The sweep was stopped in the middle of it: it comes again.
    Interrupted,
}

impl Standing {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether it will not go on.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Stopped | Self::Failed)
    }
}

/// One trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number, the first being 1.
    pub number: u64,
    /// The values it tries, nested as in the sweep.
    pub params: Map<String, Value>,
    /// Where they lie between 0 and 1, one for each parameter that is searched; none on a grid.
    #[serde(default)]
    pub places: Vec<f64>,
    /// its state.
    pub standing: Standing,
    /// What was measured of the metric, in order; what is not a number is left out.
    #[serde(default)]
    pub values: Vec<f64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Trial {
    /// Its name, that of its folder: `trial-3`.
    pub fn name(&self) -> String {
        format!("trial-{}", self.number)
    }

    /// The value of a parameter, by its path.
    pub fn param(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.params.get(first)?, |value, key| value.get(key))
    }
}
