//! Callbacks of a training run, for panels, trackers and samples of the model.

use std::path::Path;

use crate::error::Result;
use crate::train::{Step, Trainer};

/// An event of a training run.
#[derive(Debug, Clone, Copy)]
pub enum TrainEvent<'a> {
    /// [`Trainer::fit`] has begun or continues.
    Began,
    /// A step is done.
    Stepped(&'a Step),
    /// The held-out loss was measured; it is in the step.
    Measured(&'a Step),
    /// A sample of the model is due; the number of steps done.
    SampleDue(u64),
    /// A checkpoint was written.
    Saved(&'a Path),
    /// The run ends before `max_steps`, with the reason.
    StoppedEarly(&'a str),
    /// The run has ended, in whatever way.
    Ended,
}

/// Called with the events of a run, between its steps. An error that it returns ends the run like a cancellation: its
/// state is kept.
pub type Callback<'a> = dyn FnMut(&Trainer, TrainEvent<'_>) -> Result<()> + 'a;
