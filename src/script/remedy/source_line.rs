//! A line of code in another language, split into tokens.

use super::ours;
use crate::script::scan::{Lexeme, LexemeKind, scan};

/// A line, split into tokens.
pub(super) struct SourceLine<'t> {
    pub(super) text: &'t str,
    pub(super) tokens: Vec<Lexeme>,
}

impl<'t> SourceLine<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, tokens: scan(text).code().copied().collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn word(&self, i: usize) -> &'t str {
        self.tokens.get(i).map_or("", |t| &self.text[t.start..t.end])
    }

    pub(super) fn kind(&self, i: usize) -> Option<LexemeKind> {
        self.tokens.get(i).map(|t| t.kind)
    }

    /// The token that begins at a column (from 1, in characters).
    pub(super) fn at_column(&self, column: usize) -> Option<usize> {
        let byte = self.text.char_indices().nth(column.checked_sub(1)?)?.0;
        self.tokens.iter().position(|token| token.start == byte)
    }

    /// Whether a token opens a bracket.
    fn opens(&self, i: usize) -> bool {
        self.kind(i) == Some(LexemeKind::Symbol) && matches!(self.word(i), "(" | "[" | "{" | "#{" | "${")
    }

    pub(super) fn is_name(&self, i: usize) -> bool {
        self.kind(i) == Some(LexemeKind::Word)
    }

    pub(super) fn start(&self, i: usize) -> usize {
        self.tokens.get(i).map_or(self.text.len(), |t| t.start)
    }

    pub(super) fn end(&self, i: usize) -> usize {
        self.tokens.get(i).map_or(self.text.len(), |t| t.end)
    }

    /// The text of the tokens `from..to`.
    pub(super) fn part(&self, from: usize, to: usize) -> &'t str {
        if from < to { self.text[self.start(from)..self.end(to - 1)].trim() } else { "" }
    }

    /// The token that closes the bracket at `open`.
    pub(super) fn close(&self, open: usize) -> Option<usize> {
        let mut depth = 0;
        for i in open..self.len() {
            if self.kind(i) != Some(LexemeKind::Symbol) {
                continue;
            }
            match self.word(i) {
                _ if self.opens(i) => depth += 1,
                ")" | "]" | "}" => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(i);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The first token with this text in `from..to` that is outside of brackets.
    pub(super) fn find(&self, from: usize, to: usize, wanted: &str) -> Option<usize> {
        let mut i = from;
        while i < to.min(self.len()) {
            if self.word(i) == wanted && self.kind(i) != Some(LexemeKind::Text) {
                return Some(i);
            }
            i = if self.opens(i) { self.close(i).unwrap_or(i) + 1 } else { i + 1 };
        }
        None
    }

    /// The line with the tokens `from..=to` replaced, the rest in our words.
    pub(super) fn replaced(&self, from: usize, to: usize, new: &str) -> String {
        format!("{}{new}{}", ours(&self.text[..self.start(from)]), ours(&self.text[self.end(to)..]))
    }

    /// How many brackets are open at a token.
    pub(super) fn depth(&self, i: usize) -> usize {
        (0..i).filter(|&k| self.opens(k) && self.close(k).is_none_or(|close| close >= i)).count()
    }

    /// Whether the line defines a function of this name.
    pub(super) fn defines(&self, name: &str) -> bool {
        (1..self.len()).any(|i| self.word(i) == name && self.word(i - 1) == "fn")
    }

    /// The arguments of the call whose bracket is at `open`.
    pub(super) fn arguments(&self, open: usize) -> Option<Vec<&'t str>> {
        let close = self.close(open)?;
        let (mut arguments, mut i) = (Vec::new(), open + 1);
        while i < close {
            let end = self.find(i, close, ",").unwrap_or(close);
            arguments.push(self.part(i, end));
            i = end + 1;
        }
        Some(arguments)
    }

    /// The first token of the operand that ends before token `i`: a name, number, text or bracket with what is called
    /// and indexed behind it.
    pub(super) fn operand_before(&self, i: usize) -> usize {
        let mut at = i;
        while let Some(last) = at.checked_sub(1) {
            match self.word(last) {
                ")" | "]" | "}" => {
                    let Some(open) = (0..last).rev().find(|&k| self.close(k) == Some(last)) else { break };
                    at = open;
                    let called = open > 0 && self.touch(open - 1) && self.word(last) != "}";
                    if called && (self.is_name(open - 1) || matches!(self.word(open - 1), ")" | "]")) {
                        continue;
                    }
                }
                _ if self.is_name(last) || matches!(self.kind(last), Some(LexemeKind::Number | LexemeKind::Text)) => {
                    at = last
                }
                _ => break,
            }
            if at < 2 || self.word(at - 1) != "." {
                break;
            }
            at -= 1;
        }
        at
    }

    /// The token behind a condition that begins at token `i`: up to `and`, `or`, a bracket that closes or a block.
    pub(super) fn condition_end(&self, i: usize) -> usize {
        let ends = |word: &str| {
            matches!(word, "and" | "or" | "if" | "else" | "&" | "|" | "," | ";" | ":" | "{" | ")" | "]" | "}" | "?")
        };
        let mut at = i;
        while at < self.len() && !ends(self.word(at)) {
            let opens = matches!(self.word(at), "(" | "[" | "#{");
            at = if opens { self.close(at).unwrap_or(at) + 1 } else { at + 1 };
        }
        at
    }

    /// The token behind the operand that begins at token `i`.
    pub(super) fn operand_after(&self, i: usize) -> Option<usize> {
        let begin = if matches!(self.word(i), "-" | "!") { i + 1 } else { i };
        let mut end = match self.word(begin) {
            "(" | "[" | "{" | "#{" => self.close(begin)? + 1,
            _ if begin < self.len() => begin + 1,
            _ => return None,
        };
        loop {
            end = match self.word(end) {
                "(" | "[" if self.touch(end - 1) => self.close(end)? + 1,
                "." if self.is_name(end + 1) => end + 2,
                _ => return Some(end),
            };
        }
    }

    /// True when two tokens are adjacent without space.
    pub(super) fn touch(&self, i: usize) -> bool {
        i + 1 < self.len() && self.end(i) == self.start(i + 1)
    }
}
