//! The state of a session that the diagnosis of an error reads.

use rhai::Scope;

use crate::script::catalog::Catalog;
use crate::script::context::Typed;
use crate::script::sources::ScriptSources;

/// The names and texts of the session at the time of an error.
pub(crate) struct ErrorContext<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) sources: &'a ScriptSources,
    pub(crate) scope: &'a Scope<'static>,
    /// Functions defined by scripts: name and number of parameters.
    pub(crate) functions: Vec<(String, usize)>,
    /// The last text of `eval`.
    pub(crate) evaluated: Typed,
}

/// The line in which an error happened, the column (from 1, in characters), and whether it is outside of all functions,
/// where the variables are those of the session.
#[derive(Clone, Copy, Default)]
pub(crate) struct ErrorPlace<'t> {
    pub(crate) line: &'t str,
    pub(crate) column: usize,
    pub(crate) outside: bool,
}
