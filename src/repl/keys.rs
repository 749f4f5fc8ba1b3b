//! Key bindings in addition to the line editor's: Enter indents inside brackets, a closing bracket unindents, Tab at
//! the start of a line indents, Up and Down search for entries that begin with the typed text.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustyline::history::History;
use rustyline::{
    Cmd, ConditionalEventHandler, Editor, Event, EventContext, EventHandler, Helper, KeyCode, KeyEvent, Modifiers,
    Movement, RepeatCount,
};

use crate::script::command::{TAKE_CODE, asked};
use crate::script::scan::{Open, scan};

/// Spaces of indentation for each level of brackets.
const INDENT: usize = 4;

/// The code in an entry: without `:time` and `:type`, and empty for other commands.
pub(super) fn code_of(text: &str) -> &str {
    match text.chars().next() {
        Some(':' | '%') => TAKE_CODE.iter().find_map(|name| text.strip_prefix(name)).unwrap_or(""),
        Some('!' | '?') => "",
        // Not the operator `??` that waits for its right side.
        _ if asked(text.trim()).is_some() => "",
        _ => text,
    }
}

/// True when a bracket, a string in backticks or a comment is open at the end.
fn unfinished(text: &str) -> bool {
    let open = scan(code_of(text)).open;
    // A string ends with its line: its quotation mark is missing, not more lines.
    let broken = open.iter().any(|o| matches!(o, Open::Text(_) | Open::Single));
    !broken && open.iter().any(|o| !matches!(o, Open::LineComment))
}

/// True when the last of several lines is blank: Enter then submits the entry.
pub(super) fn ends_blank(text: &str) -> bool {
    text.rsplit_once('\n').is_some_and(|(_, last)| last.trim().is_empty())
}

/// The indentation of a line after `text`: four spaces for each line that opened a bracket.
fn indent(text: &str) -> String {
    let open = scan(text).open;
    if matches!(open.last(), Some(Open::Template(_) | Open::Comment)) {
        return String::new();
    }
    let mut lines: Vec<usize> = open
        .iter()
        .filter_map(|o| match o {
            Open::Bracket(_, behind) => Some(text[..*behind].matches('\n').count()),
            _ => None,
        })
        .collect();
    lines.dedup();
    " ".repeat(INDENT * lines.len())
}

/// True when there are only spaces before the cursor in its line.
fn at_line_start(before: &str) -> bool {
    before.rsplit('\n').next().is_some_and(|line| line.trim().is_empty())
}

struct Enter {
    /// True to accept the entry even when nothing is open.
    always: bool,
}

impl ConditionalEventHandler for Enter {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, ctx: &EventContext) -> Option<Cmd> {
        let (text, before) = (ctx.line(), &ctx.line()[..ctx.pos()]);
        let escape = ctx.pos() == text.len() && ends_blank(text);
        let more = self.always || (unfinished(text) && !escape);
        more.then(|| Cmd::Insert(1, format!("\n{}", indent(before))))
    }
}

struct Close(char);

impl ConditionalEventHandler for Close {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, ctx: &EventContext) -> Option<Cmd> {
        let before = &ctx.line()[..ctx.pos()];
        let deep = before.ends_with(&" ".repeat(INDENT)) && before.contains('\n') && at_line_start(before);
        // The line editor would merge a movement by four into one character.
        let spaces = before.len() - before.trim_end_matches(' ').len();
        let text = || format!("{}{}", " ".repeat(spaces - INDENT), self.0);
        deep.then(|| Cmd::Replace(Movement::BeginningOfLine, Some(text())))
    }
}

struct Tab;

impl ConditionalEventHandler for Tab {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, ctx: &EventContext) -> Option<Cmd> {
        let before = &ctx.line()[..ctx.pos()];
        let indents = !before.is_empty() && at_line_start(before);
        indents.then(|| Cmd::Insert(1, " ".repeat(INDENT)))
    }
}

/// How the arrow keys search the history since the prompt appeared.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrows(Arc<AtomicU8>);

const FRESH: u8 = 0;
const ALL: u8 = 1;
const PREFIX: u8 = 2;

impl Arrows {
    /// Resets it for a new prompt.
    pub(super) fn reset(&self) {
        self.0.store(FRESH, Ordering::Relaxed);
    }

    /// True to search for entries that begin with the typed text: something was typed before the first arrow key.
    fn by_prefix(&self, text: &str) -> bool {
        if text.is_empty() {
            self.0.store(ALL, Ordering::Relaxed);
        } else {
            let _ = self.0.compare_exchange(FRESH, PREFIX, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.0.load(Ordering::Relaxed) == PREFIX
    }
}

struct Arrow {
    arrows: Arrows,
    up: bool,
}

impl ConditionalEventHandler for Arrow {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, ctx: &EventContext) -> Option<Cmd> {
        let (before, after) = ctx.line().split_at(ctx.pos());
        let edge = if self.up { !before.contains('\n') } else { !after.contains('\n') };
        // In an entry of several lines the arrow keys move between lines, unless it was found by its beginning.
        let searching = self.arrows.by_prefix(ctx.line()) && !before.is_empty();
        let search = if self.up { Cmd::HistorySearchBackward } else { Cmd::HistorySearchForward };
        (searching && (edge || !before.contains('\n'))).then_some(search)
    }
}

/// Binds the keys.
pub(super) fn bind<H: Helper, I: History>(editor: &mut Editor<H, I>) -> Arrows {
    let arrows = Arrows::default();
    let mut on = |key: KeyEvent, handler: Box<dyn ConditionalEventHandler>| {
        editor.bind_sequence(key, EventHandler::Conditional(handler));
    };
    on(KeyEvent(KeyCode::Enter, Modifiers::NONE), Box::new(Enter { always: false }));
    on(KeyEvent(KeyCode::Enter, Modifiers::ALT), Box::new(Enter { always: true }));
    on(KeyEvent(KeyCode::Tab, Modifiers::NONE), Box::new(Tab));
    for bracket in ['}', ')', ']'] {
        on(KeyEvent(KeyCode::Char(bracket), Modifiers::NONE), Box::new(Close(bracket)));
    }
    for (key, up) in [(KeyCode::Up, true), (KeyCode::Down, false)] {
        on(KeyEvent(key, Modifiers::NONE), Box::new(Arrow { arrows: arrows.clone(), up }));
    }
    arrows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_waits_for_no_more() {
        assert_eq!([code_of("midi?"), code_of("midi?? "), code_of("midi ?? 0")], ["", "", "midi ?? 0"]);
    }

    #[test]
    fn each_line_that_opens_indents_once() {
        assert_eq!(indent("fn f(x) {"), "    ");
        assert_eq!(indent("fn f(x) {\n    g(#{"), "        ");
        assert_eq!(indent("f(#{ a: 1,"), "    ");
        assert_eq!(indent("f(1);"), "");
        assert_eq!(indent("let s = `a"), "", "spaces would become part of the text");
    }

    #[test]
    fn what_is_open_wants_more() {
        for open in ["f(", "#{ a: 1", "`two", "/* c", ":time for i in 0..3 {", "`a ${ b"] {
            assert!(unfinished(open), "{open}");
        }
        for done in ["f()", "1 + // (", "\"open", ":load (", "!echo (", "?f("] {
            assert!(!unfinished(done), "{done}");
        }
    }

    #[test]
    fn arrows_search_only_for_what_was_typed() {
        let arrows = Arrows::default();
        assert!(!arrows.by_prefix(""), "an empty line walks through all");
        assert!(!arrows.by_prefix("recalled"), "and goes on doing so");
        arrows.reset();
        assert!(arrows.by_prefix("typed"));
        assert!(arrows.by_prefix("typed and found"));
        assert!(!arrows.by_prefix(""), "cleared: all again");
    }
}
