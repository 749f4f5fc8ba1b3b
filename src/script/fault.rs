//! What a cell did wrong: a message, a place, a remedy.

/// A failed cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its kind: "SyntaxError", "TypeError", "Interrupted", "Error", "Panic".
    pub name: String,
    /// What went wrong, in a sentence.
    pub message: String,
    /// The remedy.
    pub hint: Option<String>,
    /// Line and column (from 1, in characters) and the text of that line.
    pub place: Option<(usize, usize, String)>,
    /// Script or cell it happened in.
    pub source: Option<String>,
    /// The functions it happened in, innermost first.
    pub calls: Vec<String>,
    /// True when the user asked to stop.
    pub interrupted: bool,
}

impl Fault {
    /// The text for a terminal: message, source line with a caret, hint. ANSI colours when `color`.
    pub fn render(&self, _color: bool) -> String {
        todo!()
    }
}
