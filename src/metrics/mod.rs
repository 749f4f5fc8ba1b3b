//! How good a model is, in figures with formulas.

mod report;

pub use report::{Report, evaluate};
