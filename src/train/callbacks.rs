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
    /// The held-out loss was measured; it is in the step.
    Measured(&'a Step),
    /// A sample of the model is due; the number of steps done.
    SampleDue(u64),
    /// A checkpoint was written.
    Saved(&'a Path),
    /// The run is over before `max_steps`: why.
    StoppedEarly(&'a str),
    /// The run is at its end, well or not.
    Ended,
}

/// Called with the events of a run, between its steps. An error that it returns ends the run like a cancellation: with its
/// state kept.
pub type Callback<'a> = dyn FnMut(&Trainer, Event<'_>) -> Result<()> + 'a;
