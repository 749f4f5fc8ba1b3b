//! Generation: logits become tokens, and tokens a score that is always valid.

mod conditioning;
mod finish;
mod generator;
mod options;
mod sampler;
mod sequence;
mod source;
#[cfg(test)]
mod tests;

pub use finish::finish;
pub use generator::{Generated, Generator, generate, generate_takes};
pub use options::{GenerateOptions, Refill};
pub use sampler::{Sampler, SamplerOptions};
