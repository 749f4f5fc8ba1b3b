//! A variable of a session, described.

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
