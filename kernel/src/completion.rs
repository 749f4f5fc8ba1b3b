//! Completeness and completion of code that is being typed.

/// Whether code can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completeness {
    /// It can be run.
    Complete,
    /// More must follow; the next line begins with `indent`.
    Incomplete {
        /// White space to begin the next line with.
        indent: String,
    },
    /// It is invalid, whatever follows.
    Invalid,
    /// The language cannot tell.
    Unknown,
}

/// One completion at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The text that replaces the range.
    pub text: String,
    /// Its kind, for the front end's icon: "function", "variable", "property", "keyword", "path".
    pub kind: String,
    /// Its signature, or empty.
    pub signature: String,
}

/// The completions at a cursor. Offsets are bytes; the host converts the protocol's code points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completions {
    /// Start of the replaced range.
    pub start: usize,
    /// End of the replaced range.
    pub end: usize,
    /// The completions, best first.
    pub items: Vec<Completion>,
}

impl Completions {
    /// No completions.
    pub fn none(cursor: usize) -> Self {
        Self { start: cursor, end: cursor, items: Vec::new() }
    }
}
