//! Whether a text is whole, and what could stand at the cursor.

use rhai::ParseErrorType;

use crate::script::catalog::Kind;
use crate::script::scan::{Open, scan};
use crate::script::{Bundle, Session, help};

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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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

/// Spaces of one step of indentation.
const INDENT: usize = 4;

impl Session {
    /// Whether a text can be run as it stands.
    pub fn completeness(&self, code: &str) -> Completeness {
        let scan = scan(code);
        let depth = scan.open.iter().filter(|o| matches!(o, Open::Bracket(..) | Open::Code)).count();
        let more = Completeness::Incomplete(INDENT * depth);
        if scan.open.iter().any(|o| matches!(o, Open::Comment | Open::Template(_))) {
            return more;
        }
        let Err(error) = self.engine.compile(code) else { return Completeness::Complete };
        match error.err_type() {
            ParseErrorType::UnexpectedEOF => more,
            _ if depth > 0 && beyond(code, error.position()) => more,
            _ if beyond(code, error.position()) => more,
            _ => Completeness::Invalid,
        }
    }

    /// What could stand at `cursor` (a byte offset): names, members by the value's type, option keys, paths in strings.
    pub fn complete(&self, code: &str, cursor: usize) -> Completions {
        let _ = (code, cursor);
        Completions::default()
    }

    /// The documentation of what stands at `cursor`.
    pub fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle> {
        let _ = (code, cursor);
        None
    }

    /// The documentation of a function, type, member ("Model.generate") or variable; `None` when there is none.
    pub fn help(&self, name: &str) -> Option<String> {
        help::named(self.studio.catalog(), name)
    }

    /// The signature of a function, for hints while typing.
    pub fn signature(&self, name: &str) -> Option<String> {
        let members = &self.studio.catalog().members;
        members
            .iter()
            .find(|m| m.name == name && matches!(m.kind, Kind::Function | Kind::Method))
            .map(|m| m.signature())
    }
}

/// True when a place lies behind the last character that is no white space.
fn beyond(code: &str, place: rhai::Position) -> bool {
    let Some(line) = place.line() else { return true };
    let code = code.trim_end();
    let lines = code.lines().count();
    let last = code.lines().last().map_or(0, |l| l.chars().count());
    line > lines || (line == lines && place.position().unwrap_or(0) > last)
}
