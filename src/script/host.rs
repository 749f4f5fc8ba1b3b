//! The interface between a session and its environment: a terminal, a notebook, a test.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::script::Bundle;

/// An output of a running cell.
#[derive(Debug, Clone)]
pub enum Output {
    /// Text from `print`, with its line end.
    Text(String),
    /// Text from `debug`, and warnings.
    Warning(String),
    /// A value from `display(x)`; with an `id`, later updates replace it.
    Display {
        /// Its formats.
        bundle: Bundle,
        /// Its id for updates, unique in the process.
        id: Option<u64>,
    },
    /// Replaces the display with this id.
    Update {
        /// The new formats.
        bundle: Bundle,
        /// The id.
        id: u64,
    },
    /// Clears the output of the cell so far; with `wait`, when the next output comes.
    Clear {
        /// Whether to wait for the next output.
        wait: bool,
    },
}

/// Receives the output of a cell.
pub type OutputHook = Arc<dyn Fn(Output) + Send + Sync>;

/// Reads a line from the user; the arguments are the prompt and whether typed text is hidden.
pub type InputHook = Arc<dyn Fn(&str, bool) -> Result<String> + Send + Sync>;

/// The callbacks and settings of a session's environment.
#[derive(Clone)]
pub struct Host {
    /// The progress display and the interrupt.
    pub progress: Progress,
    /// Receives the output.
    pub output: OutputHook,
    /// Reads a line for `input(prompt)`; [`Host::no_input`] where this is impossible.
    pub input: InputHook,
    /// The width of text in columns.
    pub width: usize,
}

impl Host {
    /// An input hook that fails, for environments without input.
    pub fn no_input() -> InputHook {
        Arc::new(|_, _| {
            Err(Error::mistake("input() has nobody to ask here")
                .with_hint("run the script in a terminal or a notebook that takes input"))
        })
    }

    /// A host without output and input; for tests and for library users who need only values.
    pub fn silent() -> Self {
        Self { progress: Progress::silent(), output: Arc::new(|_| ()), input: Self::no_input(), width: 80 }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("progress", &self.progress).field("width", &self.width).finish_non_exhaustive()
    }
}
