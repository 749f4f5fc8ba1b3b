//! The traits that a language implements.

use std::path::PathBuf;

use crate::{Bundle, Completeness, Completions, Fault};

/// The description of a language for front ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language {
    /// Its name: "rhai".
    pub name: String,
    /// Its version.
    pub version: String,
    /// MIME type of a source file.
    pub mimetype: String,
    /// File extension of source files, with the dot.
    pub file_extension: String,
    /// The Pygments lexer: its own, or that of a language with similar syntax ("rust").
    pub pygments_lexer: String,
    /// The CodeMirror mode.
    pub codemirror_mode: String,
    /// The name of the kernel.
    pub implementation: String,
    /// The version of the kernel.
    pub implementation_version: String,
    /// The greeting of a console.
    pub banner: String,
    /// Text and address of help pages.
    pub help_links: Vec<(String, String)>,
}

/// The interpreter of a language, which runs one cell at a time.
///
/// It is created and used on one thread, so it need not be `Send`.
pub trait Interpreter {
    /// The description of the language.
    fn language(&self) -> Language;

    /// Runs a cell. Text and displays are sent to the outbox as they occur; the value of the cell is returned.
    ///
    /// # Errors
    /// The error of the cell; variables assigned before it stay.
    fn execute(&mut self, cell: &str) -> Result<Option<Bundle>, Fault>;

    /// Evaluates one of the expressions that a front end sends along with a cell. By default it is run like a cell.
    ///
    /// # Errors
    /// The error of the expression.
    fn evaluate(&mut self, expression: &str) -> Result<Bundle, Fault> {
        self.execute(expression).map(|value| value.unwrap_or_else(|| Bundle::text("")))
    }

    /// The file of the cell history over sessions; none by default.
    fn history_file(&self) -> Option<PathBuf> {
        None
    }

    /// A snapshot of the names that are known now. The host takes it between cells and uses it from another thread
    /// while the next cell runs.
    fn assistant(&self) -> Box<dyn Assistant>;
}

/// Completion and documentation of code that is being typed, without running it. All cursors are byte offsets.
pub trait Assistant: Send {
    /// Whether `code` can be run.
    fn completeness(&self, _code: &str) -> Completeness {
        Completeness::Unknown
    }

    /// The completions at `cursor`.
    fn complete(&self, _code: &str, cursor: usize) -> Completions {
        Completions::none(cursor)
    }

    /// The documentation of the name at `cursor`.
    fn inspect(&self, _code: &str, _cursor: usize) -> Option<Bundle> {
        None
    }
}
