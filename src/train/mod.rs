//! Training: gradients, AdamW, the learning-rate schedule, and the loop that puts them together.

mod adamw;
mod checkpoint;
mod ema;
mod files;
mod fit;
mod grads;
mod health;
mod lock;
mod loss;
mod memory_estimate;
mod options;
pub mod parallel;
mod ranks;
mod resume;
mod schedule;
#[cfg(test)]
mod tests;
mod trainer;
mod watch;

pub use adamw::{AdamW, AdamWOptions};
pub use grads::Grads;
pub use lock::FolderLock;
pub use loss::held_out_loss;
pub use memory_estimate::{peak_memory, reset_peak_memory};
pub use options::{BatchSize, MixedPrecision, TrainOptions};
pub use resume::StoredRun;
pub use schedule::{Schedule, ScheduleKind};
pub use trainer::{Step, Trainer};
pub use watch::{Event, Watch};
