//! Experiment tracking: the metrics and samples of a run, written as JSON lines and for TensorBoard, W&B and MLflow.
//!
//! A [`Run`] is a folder under `experiments`, always with
//!
//! ```text
//! run.json         name, id, configuration, when it began and how it ended
//! metrics.jsonl    one line a call of log: {"step": 10, "time": 1234.5, "loss": 2.31}
//! media/           samples: MIDI, pictures, sound
//! ```
//!
//! and, as asked for, TensorBoard's event files, an offline run of Weights & Biases that `wandb sync` takes, and a run
//! on an MLflow server. A tracker that fails is warned of once and left out from then on: it never stops a run.
//! [`Runs`] reads a folder of runs again and compares them.

mod clock;
mod compare;
mod gpu;
mod jsonl;
mod machine;
mod media;
mod mlflow;
mod monitor;
mod options;
mod run;
mod runs;
mod sink;
mod status;
mod tensorboard;
#[cfg(test)]
mod tests;
mod wandb;

pub use clock::{WallClock, wall_clock};
pub use machine::machine;
pub use media::Media;
pub use monitor::Monitor;
pub use options::RunOptions;
pub use run::Run;
pub use runs::{Runs, Summary};
pub use status::Status;
