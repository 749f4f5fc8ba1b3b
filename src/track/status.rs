//! `Status`: how a tracked run ended.

use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It completed.
    Finished,
    /// It ended with an error.
    Failed,
    /// The user cancelled it.
    Stopped,
}

impl Status {
    /// The exit code that `wandb` records for this status.
    pub(super) fn code(self) -> i64 {
        match self {
            Self::Finished => 0,
            Self::Failed => 1,
            Self::Stopped => 255,
        }
    }

    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}
