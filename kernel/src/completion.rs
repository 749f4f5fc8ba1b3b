//! Completeness and completion of a text that is being typed.

/// Whether a text can be run as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completeness {
    /// It can be run.
    Complete,
    /// More must follow; the next line begins with `indent`.
    Incomplete {
        /// White space to begin the next line with.
        indent: String,
    },
    /// It can never be run, whatever follows.
    Invalid,
    /// The language cannot tell.
    Unknown,
}

/// One completion at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What to put in place of the replaced text.
    pub text: String,
    /// Its kind, for the front end's icon: "function", "variable", "property", "keyword", "path".
    pub kind: String,
    /// Its signature, or empty.
    pub signature: String,
}

/// The completions at a cursor. Offsets are bytes; the host converts the protocol's code points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completions {
    /// Where the replaced text begins.
    pub start: usize,
    /// Where it ends.
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
