//! How good a model is, in figures with formulas.

mod report;
#[cfg(test)]
mod tests;

pub use report::{Report, evaluate};
