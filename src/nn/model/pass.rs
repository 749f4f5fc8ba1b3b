//! How to go through a model once.

use crate::interrupt::Interrupt;
use crate::nn::Precision;

/// How to go through the model once: training draws dropout from `seed`, evaluation (None) drops nothing; every op
/// asks `interrupt`.
#[derive(Debug, Clone, Default)]
pub struct Pass {
    /// Seed of the dropout masks; `None` when evaluating.
    pub dropout_seed: Option<u64>,
    /// What the factors of products are rounded to.
    pub precision: Precision,
    /// Asked by every op, forward and backward.
    pub interrupt: Interrupt,
}
