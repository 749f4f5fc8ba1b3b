//! The tokens of a text with their brackets matched.

use crate::script::scan::{Lexeme, LexemeKind, scan};

/// The tokens of a text without comments.
pub(super) struct Tokens<'t> {
    pub(super) text: &'t str,
    all: Vec<Lexeme>,
    /// For each bracket, the matching one.
    partners: Vec<Option<usize>>,
}

/// Keywords before an expression, after which a bracket opens an array instead of an index.
const BEFORE_EXPRESSION: [&str; 14] = [
    "in", "return", "if", "while", "until", "else", "do", "throw", "switch", "let", "const", "loop", "export", "import",
];

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let all: Vec<Lexeme> = scan(text).code().copied().collect();
        let mut partners = vec![None; all.len()];
        let mut open: Vec<usize> = Vec::new();
        for (i, token) in all.iter().enumerate().filter(|(_, t)| t.kind == LexemeKind::Symbol) {
            match &text[token.start..token.end] {
                "(" | "[" | "{" | "#{" | "${" => open.push(i),
                close @ (")" | "]" | "}") => {
                    let fits = open.last().is_some_and(|&o| {
                        let word = &text[all[o].start..all[o].end];
                        matches!((word, close), ("(", ")") | ("[", "]") | ("{" | "#{" | "${", "}"))
                    });
                    if let Some(o) = open.pop_if(|_| fits) {
                        (partners[o], partners[i]) = (Some(i), Some(o));
                    }
                }
                _ => {}
            }
        }
        Self { text, all, partners }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The text of a token; "" where there is none.
    pub(super) fn word(&self, i: usize) -> &'t str {
        self.all.get(i).map_or("", |t| &self.text[t.start..t.end])
    }

    /// The text of the token before.
    pub(super) fn before(&self, i: usize) -> &'t str {
        i.checked_sub(1).map_or("", |i| self.word(i))
    }

    pub(super) fn is_word(&self, i: usize) -> bool {
        self.all.get(i).is_some_and(|t| t.kind == LexemeKind::Word)
    }

    pub(super) fn is_text(&self, i: usize) -> bool {
        self.all.get(i).is_some_and(|t| t.kind == LexemeKind::Text)
    }

    pub(super) fn is_symbol(&self, i: usize, symbol: &str) -> bool {
        self.all.get(i).is_some_and(|t| t.kind == LexemeKind::Symbol) && self.word(i) == symbol
    }

    pub(super) fn start(&self, i: usize) -> usize {
        self.all.get(i).map_or(self.text.len(), |t| t.start)
    }

    pub(super) fn end(&self, i: usize) -> usize {
        self.all.get(i).map_or(self.text.len(), |t| t.end)
    }

    /// The bracket that matches bracket `i`.
    pub(super) fn partner(&self, i: usize) -> Option<usize> {
        self.partners.get(i).copied().flatten()
    }

    /// True when two tokens are adjacent without space.
    pub(super) fn touch(&self, i: usize) -> bool {
        self.end(i) == self.start(i + 1) && i + 1 < self.len()
    }

    /// True when token `i` begins a bracket that indexes what is before it.
    pub(super) fn indexes(&self, i: usize) -> bool {
        if !self.is_symbol(i, "[") || i == 0 {
            return false;
        }
        let before = self.before(i);
        (self.is_word(i - 1) && !BEFORE_EXPRESSION.contains(&before))
            || matches!(before, ")" | "]")
            || self.is_text(i - 1)
    }

    /// True when token `i` begins a statement.
    pub(super) fn begins_statement(&self, i: usize) -> bool {
        i == 0 || matches!(self.before(i), ";" | "{" | "}")
    }

    /// The first token from `from` on that ends the expression: a `;`, or the enclosing closing bracket; the number of
    /// tokens at the end of the text.
    pub(super) fn expression_end(&self, from: usize) -> usize {
        let mut i = from;
        while i < self.len() {
            match self.word(i) {
                ";" | ")" | "]" | "}" if !self.is_text(i) => return i,
                "(" | "[" | "{" | "#{" | "${" if !self.is_text(i) => match self.partner(i) {
                    Some(close) => i = close + 1,
                    None => return self.len(),
                },
                _ => i += 1,
            }
        }
        self.len()
    }

    /// True when a token from `from` up to `to` is this word, and not the name of a member.
    pub(super) fn names(&self, from: usize, to: usize, word: &str) -> bool {
        (from..to).any(|i| self.is_word(i) && self.word(i) == word && !matches!(self.before(i), "." | "?."))
    }
}
