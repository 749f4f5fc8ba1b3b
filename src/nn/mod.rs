//! Neural networks: ops with gradients, 4-bit weights, adapters, model families, weight files. The lowest floor that
//! uses candle.

mod autograd;
mod base;
mod candle_error;
mod config;
pub(crate) mod core;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod dtype;
mod families;
mod forward_ctx;
mod init;
mod kv_cache;
mod lora;
mod lora_init;
mod model;
pub mod ops;
mod passthrough;
mod precision;
pub mod quant;
mod targets;
mod weights;

pub use autograd::Tape;
pub use config::{
    ArchSpec, AttentionKind, AttentionScale, Biases, Gpt2Config, Initializer, LlamaConfig, MlpKind, ModelConfig,
    MusicTransformerConfig, NormKind, Positions, ReadOptions, RopeParameters, StackSpec, T5Config,
};
pub use device::{device, free_memory};
pub(crate) use device::{peak_memory, reset_peak_memory};
pub use dtype::Dtype;
pub use forward_ctx::ForwardCtx;
pub use kv_cache::{Cache, CacheDtype};
pub use lora::{LoraBias, LoraConfig};
pub use lora_init::LoraInit;
pub(crate) use model::DEFAULT as DEFAULT_ADAPTER;
pub use model::{Layer, Model, Parameter};
pub use precision::Precision;
