//! The traits a language implements.

use std::path::PathBuf;

use crate::{Bundle, Completeness, Completions, Fault};

/// What front ends want to know about a language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language {
    /// Its name: "rhai".
    pub name: String,
    /// Its version.
    pub version: String,
    /// MIME type of a source file.
    pub mimetype: String,
    /// Ending of a source file, with the dot.
    pub file_extension: String,
    /// The lexer of Pygments that front ends should use: its own, or that of a language of a like syntax ("rust").
    pub pygments_lexer: String,
    /// The mode of CodeMirror that front ends should use.
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

/// A language that a notebook can drive, one cell at a time.
///
/// It lives on one thread and is made there, so it need not be `Send`.
pub trait Interpreter {
    /// Says what language this is.
    fn language(&self) -> Language;

    /// Runs a cell. Text and displays go to the outbox as they are made; the value of the cell is returned.
    ///
    /// # Errors
    /// What the cell did wrong; variables made before stay.
    fn execute(&mut self, cell: &str) -> Result<Option<Bundle>, Fault>;

    /// Evaluates one of the expressions a front end sends along with a cell. By default it is run like a cell.
    ///
    /// # Errors
    /// What the expression did wrong.
    fn evaluate(&mut self, expression: &str) -> Result<Bundle, Fault> {
        self.execute(expression).map(|value| value.unwrap_or_else(|| Bundle::text("")))
    }

    /// The file in which cells are remembered from session to session; none by default.
    fn history_file(&self) -> Option<PathBuf> {
        None
    }

    /// Says what it knows at this moment about names and their meaning. The host asks for it between cells and
    /// questions it from another thread while the next cell runs.
    fn assistant(&self) -> Box<dyn Assistant>;
}

/// Help with a text that is being typed; never runs any of it. All cursors are byte offsets.
pub trait Assistant: Send {
    /// Says whether `code` can be run as it is.
    fn completeness(&self, _code: &str) -> Completeness {
        Completeness::Unknown
    }

    /// Offers what could stand at `cursor`.
    fn complete(&self, _code: &str, cursor: usize) -> Completions {
        Completions::none(cursor)
    }

    /// Documents what is at `cursor`.
    fn inspect(&self, _code: &str, _cursor: usize) -> Option<Bundle> {
        None
    }
}
