//! A session: variables and functions that live from cell to cell, an engine that runs cells, and the place where
//! their output goes.

use std::fmt;
use std::sync::Arc;

use crate::progress::Progress;
use crate::script::{Bundle, Completeness, Completions, Fault};

/// What a running cell says.
#[derive(Debug, Clone)]
pub enum Output {
    /// Text of `print`, with its line end.
    Text(String),
    /// Text of `debug` and of warnings.
    Warning(String),
    /// A value shown by `display(x)`.
    Display(Bundle),
}

/// What a session needs of the place it runs in.
#[derive(Clone)]
pub struct Host {
    /// Where progress is shown, and the stop flag.
    pub progress: Progress,
    /// Where output goes.
    pub output: Arc<dyn Fn(Output) + Send + Sync>,
    /// Columns of the terminal; text forms keep to them.
    pub width: usize,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("progress", &self.progress).field("width", &self.width).finish_non_exhaustive()
    }
}

/// A variable of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The type of its value, as scripts name it.
    pub type_name: String,
    /// The value in one line.
    pub summary: String,
}

/// Variables, functions and the engine that runs cells.
pub struct Session {}

impl Session {
    /// A session without variables.
    pub fn new(_host: Host) -> Self {
        todo!()
    }

    /// Sets `args`, the arguments of a script.
    pub fn set_args(&mut self, _args: &[String]) {
        todo!()
    }

    /// Runs a cell: the value of its last expression in its forms, `None` when it is `()` or hidden by a final `;`.
    /// `_` holds the last value. Whatever fails, variables stay.
    ///
    /// # Errors
    /// What the cell did wrong. A panic below is caught and is a fault, too.
    pub fn eval(&mut self, _code: &str) -> Result<Option<Bundle>, Fault> {
        todo!()
    }

    /// Runs a script file (its name stands in faults).
    ///
    /// # Errors
    /// What the script did wrong; a file that cannot be read.
    pub fn run(&mut self, _path: &std::path::Path) -> Result<Option<Bundle>, Fault> {
        todo!()
    }

    /// The exit code a script asked for with `exit(n)`, taken.
    pub fn take_exit(&mut self) -> Option<i32> {
        todo!()
    }

    /// Whether a text can be run as it stands.
    pub fn completeness(&self, _code: &str) -> Completeness {
        todo!()
    }

    /// What could stand at `cursor` (a byte offset): names, members by the value's type, option keys, paths in strings.
    pub fn complete(&self, _code: &str, _cursor: usize) -> Completions {
        todo!()
    }

    /// The documentation of what stands at `cursor`.
    pub fn inspect(&self, _code: &str, _cursor: usize) -> Option<Bundle> {
        todo!()
    }

    /// The documentation of a function, type, member ("Model.generate") or variable; `None` when there is none.
    pub fn help(&self, _name: &str) -> Option<String> {
        todo!()
    }

    /// The signature of a function, for hints while typing.
    pub fn signature(&self, _name: &str) -> Option<String> {
        todo!()
    }

    /// The variables, in the order they were made.
    pub fn variables(&self) -> Vec<Variable> {
        todo!()
    }

    /// Forgets variables and functions.
    pub fn reset(&mut self) {
        todo!()
    }

    /// The cells that ran without a fault, in order.
    pub fn cells(&self) -> &[String] {
        todo!()
    }

    /// Where it runs.
    pub fn host(&self) -> &Host {
        todo!()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
