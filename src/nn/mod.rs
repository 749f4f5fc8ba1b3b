//! The transformer: ops with gradients, 4-bit weights, adapters, families, weights on disk. candle enters here.

mod base;
mod cache;
mod config;
mod device;
mod error;
mod init;
mod lora;
mod model;
pub mod ops;
mod precision;
pub mod quant;
mod tape;
mod targets;
mod weights;

pub use cache::{Cache, CacheDtype};
pub use config::ModelConfig;
pub use device::{device, free_memory};
pub(crate) use device::{peak_memory, reset_peak_memory};
pub use lora::LoraConfig;
pub use model::{Layer, Model, Parameter, Pass};
pub use precision::Precision;
pub use tape::Tape;
pub use weights::Dtype;
