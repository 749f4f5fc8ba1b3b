//! Training: gradients, AdamW, the learning-rate schedule, and the loop that puts them together.

mod adamw;
mod checkpoint;
mod files;
mod fit;
mod grads;
mod loss;
mod options;
mod schedule;
#[cfg(test)]
mod tests;
mod trainer;

pub use adamw::{AdamW, AdamWOptions};
pub use grads::Grads;
pub use loss::held_out_loss;
pub use options::TrainOptions;
pub use schedule::{Schedule, ScheduleKind};
pub use trainer::{Step, Trainer};
