//! The place a session runs in: a terminal, a notebook, a test.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::script::Bundle;

/// What a running cell says.
#[derive(Debug, Clone)]
pub enum Output {
    /// Text of `print`, with its line end.
    Text(String),
    /// Text of `debug` and of warnings.
    Warning(String),
    /// A value shown by `display(x)`; with an `id`, later updates replace it where it is.
    Display {
        /// Its forms.
        bundle: Bundle,
        /// Its name for updates, unique in the process.
        id: Option<u64>,
    },
    /// New forms for the display with this id: a panel that lives while a model trains.
    Update {
        /// The new forms.
        bundle: Bundle,
        /// The name it was displayed under.
        id: u64,
    },
    /// The output of the cell so far goes away; with `wait`, when the next output comes.
    Clear {
        /// Whether to wait for the next output.
        wait: bool,
    },
}

/// Where the output of a cell goes.
pub type OutputHook = Arc<dyn Fn(Output) + Send + Sync>;

/// Asks the user for a line: the prompt in, and whether what is typed is hidden; the line without its end out.
pub type InputHook = Arc<dyn Fn(&str, bool) -> Result<String> + Send + Sync>;

/// What a session needs of the place it runs in.
#[derive(Clone)]
pub struct Host {
    /// Where progress is shown, and the stop flag.
    pub progress: Progress,
    /// Where output goes.
    pub output: OutputHook,
    /// Where `input(prompt)` gets a line from; [`Host::no_input`] where nobody can be asked.
    pub input: InputHook,
    /// Columns of the terminal; text forms keep to them.
    pub width: usize,
}

impl Host {
    /// The answer of a place where nobody can be asked: `input` fails and says why.
    pub fn no_input() -> InputHook {
        Arc::new(|_, _| {
            Err(Error::mistake("input() has nobody to ask here")
                .with_hint("run the script in a terminal or a notebook that takes input"))
        })
    }

    /// A host that shows nothing and cannot be asked; for tests and for library users who want values only.
    pub fn silent() -> Self {
        Self { progress: Progress::silent(), output: Arc::new(|_| ()), input: Self::no_input(), width: 80 }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("progress", &self.progress).field("width", &self.width).finish_non_exhaustive()
    }
}
