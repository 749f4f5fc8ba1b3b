//! What could stand at the cursor.

/// Whether a text can be run as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completeness {
    /// It can.
    Complete,
    /// More must follow; the next line is indented by so many spaces.
    Incomplete(usize),
    /// It never can.
    Invalid,
}

/// One possibility.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What to put in place of `start..cursor`.
    pub text: String,
    /// "function", "method", "property", "variable", "keyword", "command", "path", "key".
    pub kind: &'static str,
    /// The signature or first line of its documentation.
    pub doc: String,
}

/// The possibilities at a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Completions {
    /// Byte at which the replaced text begins.
    pub start: usize,
    /// The possibilities, sorted.
    pub items: Vec<Completion>,
}
