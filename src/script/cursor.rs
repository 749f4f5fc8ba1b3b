//! The code before the cursor, and completions.

use crate::script::scan::{Lexeme, LexemeKind, Scan, scan};

/// A completion.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Completion {
    /// The text that replaces `start..cursor`.
    pub text: String,
    /// "function", "method", "property", "variable", "keyword", "command", "path", "key".
    pub kind: &'static str,
    /// Its signature or the first line of its documentation.
    pub doc: String,
}

/// The completions at a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Completions {
    /// The byte offset at which the replaced text begins.
    pub start: usize,
    /// The completions, sorted.
    pub items: Vec<Completion>,
}

/// The code up to the cursor.
pub(crate) struct Before<'t> {
    pub(crate) text: &'t str,
    pub(crate) scan: Scan,
    /// The tokens before the word at the cursor, comments left out.
    pub(crate) tokens: Vec<Lexeme>,
    /// The byte offset of the word at the cursor.
    pub(crate) start: usize,
}

impl<'t> Before<'t> {
    /// Splits `code` at `cursor`, or at the start of the character that contains it.
    pub(crate) fn new(code: &'t str, cursor: usize) -> Self {
        let mut end = cursor.min(code.len());
        while !code.is_char_boundary(end) {
            end -= 1;
        }
        let text = &code[..end];
        let scan = scan(text);
        let mut tokens: Vec<Lexeme> = scan.code().copied().collect();
        let start = match tokens.last() {
            Some(last) if last.kind == LexemeKind::Word && last.end == end => {
                tokens.pop();
                last_start(&scan, end)
            }
            _ => end,
        };
        Self { text, scan, tokens, start }
    }

    /// The word at the cursor.
    pub(crate) fn word(&self) -> &'t str {
        &self.text[self.start..]
    }

    pub(crate) fn token(&self, i: usize) -> &'t str {
        self.tokens.get(i).map_or("", |t| &self.text[t.start..t.end])
    }

    /// The token before the word, counted back from 1.
    pub(crate) fn back(&self, n: usize) -> &'t str {
        self.tokens.len().checked_sub(n).map_or("", |i| self.token(i))
    }

    /// The index of the token that ends at a byte.
    pub(crate) fn ending(&self, byte: usize) -> Option<usize> {
        self.tokens.iter().position(|t| t.end == byte)
    }
}

fn last_start(scan: &Scan, end: usize) -> usize {
    scan.code().next_back().map_or(end, |t| t.start)
}
