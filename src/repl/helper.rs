//! The helper of the line editor: completions, hints, colours, and whether Enter ends the entry.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Context, Helper};

use super::highlight;
use super::keys::{code_of, ends_blank};
use super::style::{code, paint};
use crate::script::scan::{LexemeKind, Open, scan};
use crate::script::{Completeness, Session, command};

/// Answers the line editor from the session.
pub(super) struct ReplAssistant {
    session: Rc<RefCell<Session>>,
    history: HistoryHinter,
    color: bool,
}

impl ReplAssistant {
    /// An assistant for `session`, which is not in use while a line is read.
    pub(super) fn new(session: Rc<RefCell<Session>>, color: bool) -> Self {
        Self { session, history: HistoryHinter::new(), color }
    }
}

impl Helper for ReplAssistant {}

impl Completer for ReplAssistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> Result<(usize, Vec<Pair>), ReadlineError> {
        let known = self.session.borrow().symbols();
        let found = command::complete(&known, line, pos).unwrap_or_else(|| known.complete(line, pos));
        let pair = |item: crate::script::Completion| Pair { display: item.text.clone(), replacement: item.text };
        Ok((found.start, found.items.into_iter().map(pair).collect()))
    }
}

/// A hint behind the cursor: the rest of an earlier line, which → accepts; or a signature.
pub(super) enum Hint {
    Line(String),
    Signature(String),
}

impl rustyline::hint::Hint for Hint {
    fn display(&self) -> &str {
        match self {
            Self::Line(text) => text.lines().next().unwrap_or(""),
            Self::Signature(text) => text,
        }
    }

    fn completion(&self) -> Option<&str> {
        match self {
            Self::Line(text) => Some(text),
            Self::Signature(_) => None,
        }
    }
}

impl Hinter for ReplAssistant {
    type Hint = Hint;

    fn hint(&self, line: &str, pos: usize, ctx: &Context<'_>) -> Option<Hint> {
        if pos < line.len() {
            return None;
        }
        if let Some(name) = callee(line) {
            let known = self.session.borrow().symbols();
            let last = name.rsplit('.').next().unwrap_or(name);
            let signature = known.signature(name).or_else(|| known.signature(last));
            return signature.map(|s| Hint::Signature(format!("    {s}")));
        }
        self.history.hint(line, pos, ctx).map(Hint::Line)
    }
}

/// The function whose argument is being typed: the text ends with `name(` or with a `,` inside.
fn callee(text: &str) -> Option<&str> {
    let scan = scan(text);
    let Some(Open::Bracket('(', behind)) = scan.open.last() else { return None };
    if !text.trim_end().ends_with(['(', ',']) {
        return None;
    }
    let before = &text[..behind - 1];
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let start = before.rfind(|c| !inside(c)).map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
    let word = scan.tokens.iter().any(|t| t.kind == LexemeKind::Word && t.end == before.len());
    Some(before[start..].trim_start_matches('.')).filter(|name| word && !name.is_empty())
}

impl Highlighter for ReplAssistant {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        if self.color { highlight::highlight(line, pos).into() } else { line.into() }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, default: bool) -> Cow<'b, str> {
        paint(self.color && default, code::PROMPT, prompt).into()
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        paint(self.color, code::FAINT, hint).into()
    }

    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        candidate.into()
    }

    /// Colours depend on the whole text, the highlighted bracket on the cursor.
    fn highlight_char(&self, line: &str, _: usize, kind: CmdKind) -> bool {
        self.color && (kind != CmdKind::MoveCursor || line.contains(['(', '[', '{']))
    }
}

impl Validator for ReplAssistant {
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> Result<ValidationResult, ReadlineError> {
        let text = ctx.input();
        let code = code_of(text);
        let more = !code.is_empty()
            && !ends_blank(text)
            && matches!(self.session.borrow().symbols().completeness(code), Completeness::Incomplete(_));
        Ok(if more { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_at_the_cursor_is_known() {
        let cases = [
            ("midi(", Some("midi")),
            ("let s = net.generate(sampler(1), ", Some("net.generate")),
            ("f(g(1), h(", Some("h")),
            ("f(x", None),
            ("f()", None),
            ("(", None),
            ("x + (", None),
            ("f([", None),
            ("\"f(", None),
            ("a[0].plot(", Some("plot")),
        ];
        for (text, name) in cases {
            assert_eq!(callee(text), name, "{text}");
        }
    }
}
