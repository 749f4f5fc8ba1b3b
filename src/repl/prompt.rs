//! The loop of the prompt: read, run, show.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use rustyline::config::{BellStyle, Config};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{ColorMode, CompletionType, Editor};

use super::helper::ReplAssistant;
use super::style::{code, paint};
use super::terminal_session::TerminalSession;

use super::{files, keys};
use crate::script::command::{self, Outcome};
use crate::script::{Bundle, CellError, Session};

const PROMPT: &str = "♪ ";

/// The most lines of the history.
const REMEMBERED: usize = 10_000;

/// The most lines and characters shown of a result.
const SHOWN: (usize, usize) = (200, 40_000);

type LineEditor = Editor<ReplAssistant, DefaultHistory>;

/// Greets, then reads and runs until the user exits; returns the exit code.
pub(super) fn run(terminal_session: &TerminalSession, init: bool) -> i32 {
    let session = Rc::new(RefCell::new(Session::new(terminal_session.host())));
    terminal_session.prepare(&mut session.borrow_mut());
    let mut editor = match editor(terminal_session, &session) {
        Ok(editor) => editor,
        Err(e) => {
            terminal_session.terminal.warn(&format!("the terminal cannot be used: {e}"));
            return 1;
        }
    };
    let arrows = keys::bind(&mut editor);
    let history = files::history();
    load_history(&mut editor, history.as_ref());
    greet(terminal_session);
    if let Some(path) = files::startup().filter(|_| init) {
        let result = terminal_session.stop.during(|| session.borrow_mut().run(&path).map(|_| None));
        if let Some(code) = show(terminal_session, &session, result) {
            return code;
        }
    }
    loop {
        arrows.reset();
        session.borrow_mut().set_width(terminal_session.terminal.width());
        let text = match editor.readline(PROMPT) {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return 0,
            Err(e) => {
                terminal_session.terminal.warn(&format!("the terminal cannot be read: {e}"));
                return 1;
            }
        };
        let text = text.trim_end();
        if text.trim().is_empty() {
            continue;
        }
        remember(&mut editor, text, history.as_ref());
        let outcome = terminal_session.stop.during(|| {
            let session = &mut *session.borrow_mut();
            match command::run(session, text)? {
                Outcome::Shown(bundle) | Outcome::Page(bundle) => Ok(AfterLine::Show(Some(bundle))),
                Outcome::Quit => Ok(AfterLine::Leave),
                Outcome::NotACommand => session.eval(text).map(AfterLine::Show),
            }
        });
        let result = match outcome {
            Ok(AfterLine::Leave) => return 0,
            Ok(AfterLine::Show(bundle)) => Ok(bundle),
            Err(fault) => Err(fault),
        };
        if let Some(code) = show(terminal_session, &session, result) {
            return code;
        }
    }
}

enum AfterLine {
    Show(Option<Bundle>),
    Leave,
}

/// Shows the result; returns the exit code if the code asked to exit.
fn show(
    terminal_session: &TerminalSession,
    session: &RefCell<Session>,
    result: Result<Option<Bundle>, CellError>,
) -> Option<i32> {
    terminal_session.terminal.settle();
    if let Some(code) = session.borrow_mut().take_exit() {
        return Some(code);
    }
    match result {
        Ok(Some(bundle)) if !bundle.plain().is_empty() => {
            terminal_session.terminal.show(&bundle, Some(SHOWN));
            terminal_session.terminal.settle();
        }
        Ok(_) => {}
        Err(fault) => terminal_session.terminal.warn(&fault.render(terminal_session.terminal.err.color)),
    }
    None
}

fn editor(terminal_session: &TerminalSession, session: &Rc<RefCell<Session>>) -> Result<LineEditor, ReadlineError> {
    let color = terminal_session.terminal.out.color;
    let config = Config::builder()
        .max_history_size(REMEMBERED)?
        .history_ignore_dups(true)?
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .color_mode(if color { ColorMode::Enabled } else { ColorMode::Disabled })
        .bell_style(BellStyle::None)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(ReplAssistant::new(session.clone(), color)));
    Ok(editor)
}

fn load_history(editor: &mut LineEditor, history: Option<&PathBuf>) {
    // There is no file the first time; an unreadable one loses only the old lines.
    let _ = history.map(|path| editor.load_history(path));
}

/// Appends a line to the history, on disk at once, so that a crash does not lose it. Errors are ignored.
fn remember(editor: &mut LineEditor, text: &str, history: Option<&PathBuf>) {
    if editor.add_history_entry(text).unwrap_or(false)
        && let Some(path) = history
    {
        let _ = path.parent().map(std::fs::create_dir_all);
        let _ = editor.append_history(path);
    }
}

fn greet(terminal_session: &TerminalSession) {
    let strong = |text: &str| paint(terminal_session.terminal.out.color, code::COMMAND, text);
    terminal_session.terminal.print(&format!(
        "Étude {}, a practice room for music transformers\n  {}             what can be typed here\n  {}  the whole story: MIDI in, a fine-tuned adapter and a new solo out\n",
        env!("CARGO_PKG_VERSION"),
        strong(":help"),
        strong(":load quickstart"),
    ));
}
