//! Hints for Python syntax: what was typed, and how it is written here. The code in the hints is tested.

mod blocks;
mod calls;
mod control;
mod counterparts;
mod elsewhere;
mod expressions;
mod functions;
mod names;
mod operators;
mod source_line;
mod statements;

pub(crate) use calls::{call, method, operator};
pub(crate) use names::{condition, rounds, word};

use source_line::SourceLine;

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

/// The hint for a line that does not parse; `column` (from 1, in characters) is the position of the error.
pub(crate) fn line(text: &str, column: usize) -> Option<Remedy> {
    let trimmed = text.trim();
    let before = text.chars().take(column.saturating_sub(1)).filter(|c| !c.is_whitespace()).count();
    whole(trimmed, before == 0).or_else(|| {
        // The statement in which the error is, alone.
        let byte = text.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(byte, _)| byte);
        let byte = byte.saturating_sub(text.len() - text.trim_start().len());
        let line = SourceLine::new(trimmed);
        let ends = |i: &usize| line.word(*i) == ";" && line.depth(*i) == 0;
        let from = (0..line.len()).rev().filter(|i| line.start(*i) < byte).find(ends).map(|i| line.end(i))?;
        let to = (0..line.len()).filter(|i| line.start(*i) >= from).find(ends).map_or(trimmed.len(), |i| line.start(i));
        let remedy = whole(trimmed[from..to].trim(), false)?;
        let code = format!("{} {}{}", ours(&trimmed[..from]), remedy.code, ours(&trimmed[to..]));
        Remedy::new(remedy.message, code)
    })
}

/// The hint for a line, or for one of its statements.
fn whole(text: &str, at_begin: bool) -> Option<Remedy> {
    let line = SourceLine::new(text);
    let new = |remedy: &Remedy| remedy.code.trim() != text;
    let finders: [fn(&SourceLine) -> Option<Remedy>; 6] =
        [control::remedy, elsewhere::remedy, blocks::remedy, functions::remedy, operators::remedy, expressions::remedy];
    statements::remedy(&line, at_begin).filter(new).or_else(|| finders.iter().find_map(|find| find(&line).filter(new)))
}

/// A note on code that runs but has another meaning in Python: `7 // 2`, `let d = {}`, `1 < 2 < 3`.
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
    if tokens.windows(2).any(divides) {
        return Some("note: // begins a comment; whole numbers are divided by /: 7 / 2 is 3".into());
    }
    let word = |token: &Lexeme| &code[token.start..token.end];
    if tokens.windows(3).any(|three| [word(&three[0]), word(&three[1]), word(&three[2])] == ["=", "{", "}"]) {
        return Some("note: {} is a block that gives nothing; an empty map is #{}".into());
    }
    let chained = |three: &[Lexeme]| {
        let compares = |token: &Lexeme| token.kind == LexemeKind::Symbol && matches!(word(token), "<" | ">");
        let number = |token: &Lexeme| matches!(token.kind, LexemeKind::Word | LexemeKind::Number);
        three.len() == 5 && number(&three[0]) && compares(&three[1]) && number(&three[2]) && compares(&three[3])
    };
    let free: Vec<Lexeme> = tokens.iter().copied().filter(|token| word(token) != "=").collect();
    let found = free.windows(5).any(chained);
    found.then(|| "note: 1 < x < 3 compares the answer of 1 < x; write 1 < x && x < 3".into())
}

/// Translates a Python expression: `not a and b is None` becomes `!a && b == ()`.
fn ours(text: &str) -> String {
    let line = SourceLine::new(text);
    let mut code = String::new();
    let (mut text_end, mut i) = (0, 0);
    while i < line.len() {
        let (word, name) = (line.word(i), line.is_name(i));
        let (new, used): (String, usize) = match (word, line.word(i + 1)) {
            ("is", "not") if name => ("!=".into(), 2),
            ("not", "in") if name => ("!in".into(), 2),
            ("and", _) if name => ("&&".into(), 1),
            ("or", _) if name => ("||".into(), 1),
            ("is", _) if name => ("==".into(), 1),
            ("not", _) if name => {
                // `not` binds less than comparisons: `not a == b`.
                let end = line.condition_end(i + 1);
                if line.operand_after(i + 1).is_some_and(|operand| operand < end) {
                    code.push_str(&text[text_end..line.start(i)]);
                    code.push_str(&format!("!({})", ours(line.part(i + 1, end))));
                    text_end = line.end(end - 1);
                    i = end;
                    continue;
                }
                ("!".into(), 1)
            }
            ("True", _) if name => ("true".into(), 1),
            ("False", _) if name => ("false".into(), 1),
            ("None" | "null" | "nil", _) if name => ("()".into(), 1),
            _ if line.kind(i) == Some(LexemeKind::Text) => (quoted(word), 1),
            _ => (word.into(), 1),
        };
        code.push_str(&text[text_end..line.start(i)]);
        code.push_str(&new);
        text_end = line.end(i + used - 1);
        if new == "!" {
            text_end += text[text_end..].len() - text[text_end..].trim_start().len();
        }
        i += used;
    }
    code + &text[text_end..]
}

/// A value in a text in backticks, laid out by `format` if it says how.
fn placed(value: &str, how: &str) -> String {
    match how {
        "" => format!("${{{}}}", ours(value)),
        how => format!("${{format({}, \"{how}\")}}", ours(value)),
    }
}

/// What is done in a block, in braces.
fn block(body: &str) -> String {
    if body.starts_with('{') { ours(body) } else { format!("{{ {} }}", ours(body.trim_end_matches(';'))) }
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
