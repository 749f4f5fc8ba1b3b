//! Sampling: logits become tokens, tokens become a score that is always valid.

mod conditioning;
mod generator;
mod sampler;

pub use generator::{GenerateOptions, Generator, generate};
pub use sampler::{Sampler, SamplerOptions};
