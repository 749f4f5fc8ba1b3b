//! Completion and documentation in a notebook, also while a cell runs: from a snapshot of the session when the cell
//! began, and from the text of the cell itself.

use std::sync::{Arc, Mutex, PoisonError};

use etude_kernel as kernel;

use super::forms;
use crate::script::{Completions, Symbols, command};

/// The text of the running cell; empty between cells.
#[derive(Debug, Clone, Default)]
pub(super) struct Running(Arc<Mutex<String>>);

impl Running {
    pub(super) fn set(&self, cell: &str) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.clear();
        text.push_str(cell);
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Completion and documentation from a snapshot of the session.
#[derive(Debug)]
pub(super) struct NotebookAssistant {
    pub(super) symbols: Symbols,
    pub(super) running: Running,
}

impl NotebookAssistant {
    /// The typed text appended to the running cell, whose variables may be meant, and the offset of the typed text.
    fn in_context(&self, code: &str) -> (String, usize) {
        let mut text = self.running.text();
        if !text.is_empty() {
            text.push_str("\n;");
        }
        let begin = text.len();
        text.push_str(code);
        (text, begin)
    }
}

impl kernel::Assistant for NotebookAssistant {
    fn completeness(&self, code: &str) -> kernel::Completeness {
        forms::completeness(command::completeness(&self.symbols, code))
    }

    fn complete(&self, code: &str, cursor: usize) -> kernel::Completions {
        let line = code[..cursor].rfind('\n').map_or(0, |at| at + 1);
        let mut found = match command::complete(&self.symbols, &code[line..cursor], cursor - line) {
            Some(found) => Completions { start: found.start + line, ..found },
            None => {
                let (text, begin) = self.in_context(code);
                let found = self.symbols.complete(&text, begin + cursor);
                Completions { start: found.start.saturating_sub(begin), ..found }
            }
        };
        if found.items.is_empty() {
            found.start = cursor;
        }
        forms::completions(found, cursor)
    }

    fn inspect(&self, code: &str, cursor: usize) -> Option<kernel::Bundle> {
        let (text, begin) = self.in_context(code);
        self.symbols.inspect(&text, begin + cursor).map(|page| forms::bundle(&page))
    }
}
