//! Who follows a run: a panel, a tracker, whoever plays takes of the model while it learns.

use std::path::Path;

use crate::error::Result;
use crate::train::{Step, Trainer};

/// Something that happened in a run.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// [`Trainer::fit`] begins or goes on.
    Began,
    /// A step was taken.
    Stepped(&'a Step),
    /// The held-out loss was measured; it stands in the step.
    Measured(&'a Step),
    /// A take of the model is due after so many steps.
    SampleDue(u64),
    /// A checkpoint was written.
    Saved(&'a Path),
    /// The run is over before `max_steps`: why.
    StoppedEarly(&'a str),
    /// The run is at its end, well or not.
    Ended,
}

/// Hears of the events of a run, between its steps. What it returns as an error ends the run like a stop: with its
/// state kept.
pub type Callback<'a> = dyn FnMut(&Trainer, Event<'_>) -> Result<()> + 'a;
