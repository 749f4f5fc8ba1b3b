//! Hints for Python syntax: what was typed, and how it is written here. The code in the hints is tested.

mod blocks;
mod elsewhere;
mod expressions;
mod names;
mod statements;

pub(crate) use names::{call, method, word};

use crate::script::scan::{Lexeme, LexemeKind, scan};

/// The meaning of a line, and how to write it here.
#[derive(Debug, PartialEq)]
pub(crate) struct Remedy {
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) code: String,
}

impl Remedy {
    fn new(message: impl Into<String>, code: impl Into<String>) -> Option<Self> {
        Some(Self { message: message.into(), code: code.into() })
    }

    /// The remedy as a hint.
    pub(crate) fn hint(&self) -> String {
        format!("write {}", self.code)
    }
}

/// A line, split into tokens.
struct SourceLine<'t> {
    text: &'t str,
    tokens: Vec<Lexeme>,
}

impl<'t> SourceLine<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, tokens: scan(text).code().copied().collect() }
    }

    fn len(&self) -> usize {
        self.tokens.len()
    }

    fn word(&self, i: usize) -> &'t str {
        self.tokens.get(i).map_or("", |t| &self.text[t.start..t.end])
    }

    fn kind(&self, i: usize) -> Option<LexemeKind> {
        self.tokens.get(i).map(|t| t.kind)
    }

    fn is_name(&self, i: usize) -> bool {
        self.kind(i) == Some(LexemeKind::Word)
    }

    fn start(&self, i: usize) -> usize {
        self.tokens.get(i).map_or(self.text.len(), |t| t.start)
    }

    fn end(&self, i: usize) -> usize {
        self.tokens.get(i).map_or(self.text.len(), |t| t.end)
    }

    /// The text of the tokens `from..to`.
    fn part(&self, from: usize, to: usize) -> &'t str {
        if from < to { self.text[self.start(from)..self.end(to - 1)].trim() } else { "" }
    }

    /// The token that closes the bracket at `open`.
    fn close(&self, open: usize) -> Option<usize> {
        let mut depth = 0;
        for i in open..self.len() {
            if self.kind(i) != Some(LexemeKind::Symbol) {
                continue;
            }
            match self.word(i) {
                "(" | "[" | "{" | "#{" | "${" => depth += 1,
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
    fn find(&self, from: usize, to: usize, wanted: &str) -> Option<usize> {
        let mut i = from;
        while i < to.min(self.len()) {
            if self.word(i) == wanted && self.kind(i) != Some(LexemeKind::Text) {
                return Some(i);
            }
            let opens =
                self.kind(i) == Some(LexemeKind::Symbol) && matches!(self.word(i), "(" | "[" | "{" | "#{" | "${");
            i = if opens { self.close(i).unwrap_or(i) + 1 } else { i + 1 };
        }
        None
    }

    /// True when two tokens are adjacent without space.
    fn touch(&self, i: usize) -> bool {
        i + 1 < self.len() && self.end(i) == self.start(i + 1)
    }
}

/// The hint for a line that does not parse; `column` (from 1, in characters) is the position of the error.
pub(crate) fn line(text: &str, column: usize) -> Option<Remedy> {
    let trimmed = text.trim();
    let before = text.chars().take(column.saturating_sub(1)).filter(|c| !c.is_whitespace()).count();
    let line = SourceLine::new(trimmed);
    statements::remedy(&line, before == 0)
        .or_else(|| elsewhere::remedy(&line))
        .or_else(|| blocks::remedy(&line))
        .or_else(|| expressions::remedy(&line))
        .filter(|remedy| remedy.code.trim() != trimmed)
}

/// A note on code that runs but has another meaning in Python: `7 // 2`.
pub(crate) fn note(code: &str) -> Option<String> {
    let tokens = scan(code).tokens;
    let divides = |pair: &[Lexeme]| {
        let [value, comment] = pair else { return false };
        let remark = &code[comment.start..comment.end];
        let number = remark.strip_prefix("//").map(|rest| rest.trim().trim_end_matches([';', ')']));
        let whole = number.is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()));
        let between = &code[value.end..comment.start];
        comment.kind == LexemeKind::Comment
            && whole
            && !between.contains('\n')
            && matches!(value.kind, LexemeKind::Word | LexemeKind::Number)
    };
    let found = tokens.windows(2).any(divides);
    found.then(|| "note: // begins a comment; whole numbers are divided by /: 7 / 2 is 3".into())
}

/// Translates a Python expression: `not a and b is None` becomes `!a && b == ()`.
fn ours(text: &str) -> String {
    let line = SourceLine::new(text);
    let mut code = String::new();
    let (mut end, mut i) = (0, 0);
    while i < line.len() {
        let (word, name) = (line.word(i), line.is_name(i));
        let (new, used): (String, usize) = match (word, line.word(i + 1)) {
            ("is", "not") if name => ("!=".into(), 2),
            ("not", "in") if name => ("!in".into(), 2),
            ("and", _) if name => ("&&".into(), 1),
            ("or", _) if name => ("||".into(), 1),
            ("is", _) if name => ("==".into(), 1),
            ("not", _) if name => ("!".into(), 1),
            ("True", _) if name => ("true".into(), 1),
            ("False", _) if name => ("false".into(), 1),
            ("None" | "null" | "nil", _) if name => ("()".into(), 1),
            _ if line.kind(i) == Some(LexemeKind::Text) => (quoted(word), 1),
            _ => (word.into(), 1),
        };
        code.push_str(&text[end..line.start(i)]);
        code.push_str(&new);
        end = line.end(i + used - 1);
        if new == "!" {
            end += text[end..].len() - text[end..].trim_start().len();
        }
        i += used;
    }
    code + &text[end..]
}

/// A string in double quotes, for one in single quotes that is not a Rhai character.
fn quoted(text: &str) -> String {
    match text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(inside) => format!("\"{}\"", inside.replace("\\'", "'").replace('"', "\\\"")),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests;
