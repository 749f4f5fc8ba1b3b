//! Sampling: logits become tokens, tokens become a score that is always valid.

mod conditioning;
mod generator;
mod options;
mod sampler;
mod take;
#[cfg(test)]
mod tests;

pub use generator::{Generator, generate};
pub use options::GenerateOptions;
pub use sampler::{Sampler, SamplerOptions};
