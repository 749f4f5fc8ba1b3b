//! What a language says about a text that is being typed.

/// Whether a text can be run as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completeness {
    /// It can.
    Complete,
    /// More must follow; the next line begins with `indent`.
    Incomplete {
        /// White space to begin the next line with.
        indent: String,
    },
    /// It never can.
    Invalid,
    /// The language cannot tell.
    Unknown,
}

/// One possibility at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What to put in place of the replaced text.
    pub text: String,
    /// Its kind, for the front end's icon: "function", "variable", "property", "keyword", "path".
    pub kind: String,
    /// Its signature, or empty.
    pub signature: String,
}

/// The possibilities at a cursor. Offsets are bytes; the host turns the protocol's code points into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completions {
    /// Where the replaced text begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The possibilities, best first.
    pub items: Vec<Completion>,
}

impl Completions {
    /// No possibility at all.
    pub fn none(cursor: usize) -> Self {
        Self { start: cursor, end: cursor, items: Vec::new() }
    }
}
