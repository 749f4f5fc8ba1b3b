//! Colours of the terminal, and whether a stream supports them.

use std::io::IsTerminal;

/// Escape codes (SGR, ECMA-48 §8.3.117) by purpose.
pub(super) mod code {
    pub(crate) const KEYWORD: &str = "35";
    pub(crate) const TEXT: &str = "32";
    pub(crate) const NUMBER: &str = "36";
    pub(crate) const COMMENT: &str = "90";
    pub(crate) const COMMAND: &str = "33";
    pub(crate) const PARTNER: &str = "1;4";
    pub(crate) const PROMPT: &str = "1;34";
    pub(crate) const FAINT: &str = "90";
    pub(crate) const BAR: &str = "36";
}

/// The text in a colour, if `color`.
pub(super) fn paint(color: bool, code: &str, text: &str) -> String {
    if color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// The capabilities of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stream {
    /// It is a terminal that can redraw a line.
    pub(super) terminal: bool,
    /// It may have colours.
    pub(super) color: bool,
}

impl Stream {
    /// Asks the stream and the environment (`NO_COLOR`, see no-color.org, and `TERM`).
    pub(super) fn of(stream: &impl IsTerminal) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let terminal = stream.is_terminal() && set("TERM").is_none_or(|term| term != "dumb");
        Self { terminal, color: terminal && set("NO_COLOR").is_none() }
    }
}
