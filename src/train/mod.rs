//! Training: gradients, AdamW, learning-rate schedules, and the training loop.

mod adamw;
mod agreement;
mod callbacks;
mod checkpoint;
mod divergence;
mod ema;
mod fingerprint;
mod fit;
mod grads;
mod lock;
mod loss;
mod memory_estimate;
mod options;
pub mod parallel;
mod ranks;
mod resume;
mod run_files;
mod schedule;
mod step;
#[cfg(test)]
mod tests;
mod trainer;

pub use adamw::{AdamW, AdamWOptions};
pub use callbacks::{Callback, TrainEvent};
pub use grads::Grads;
pub use lock::FolderLock;
pub use loss::held_out_loss;
pub use memory_estimate::{free_memory, peak_memory, reset_peak_memory};
pub use options::{BatchSize, MixedPrecision, TrainOptions};
pub use resume::StoredRun;
pub use schedule::{Schedule, ScheduleKind};
pub use step::Step;
pub use trainer::Trainer;
