//! `Fault`: the error of a cell.

use std::fmt;

/// The error of a cell, as front ends show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The kind of error: `ename`.
    pub name: String,
    /// The error in a sentence: `evalue`.
    pub message: String,
    /// Lines to show, ANSI colours allowed: `traceback`.
    pub traceback: Vec<String>,
}

impl Fault {
    /// An error whose traceback is its message.
    ///
    /// ```
    /// use etude_kernel::Fault;
    ///
    /// assert_eq!(Fault::new("NameError", "no x").traceback, ["NameError: no x"]);
    /// ```
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        let (name, message) = (name.into(), message.into());
        let traceback = vec![format!("{name}: {message}")];
        Self { name, message, traceback }
    }

    /// The error of a cell that the user cancelled.
    pub fn interrupted() -> Self {
        Self::new("KeyboardInterrupt", "stopped; variables are as the cell left them")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl std::error::Error for Fault {}
