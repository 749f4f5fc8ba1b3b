//! Metrics: the loss and accuracies of a model, and statistics of its music, each with its formula.

mod defects;
mod features;
mod frechet;
mod intervals;
mod originality;
mod piece;
mod report;
mod style;
#[cfg(test)]
mod tests;
mod two_sample;

pub use defects::Defects;
pub use frechet::{embed, frechet_distance};
pub use intervals::Interval;
pub use originality::{Corpus, SharedPassage};
pub use piece::PieceFigures;
pub use report::{Report, evaluate};
pub use style::{Likeness, style};
pub use two_sample::{TwoSample, two_sample_test};
