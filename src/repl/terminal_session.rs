//! The terminal as the host of a session.

use std::borrow::Cow;
use std::sync::Arc;

use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::history::DefaultHistory;
use rustyline::{Completer, DefaultEditor, Editor, Helper, Hinter, Validator};

use super::stop::Stop;
use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::progress::{Progress, ProgressSink, Snapshot};
use crate::script::{Host, Output, Session};

/// The terminal and its interrupt.
pub(super) struct TerminalSession {
    pub(super) terminal: Arc<Terminal>,
    pub(super) stop: Arc<Stop>,
}

impl TerminalSession {
    /// The terminal of this process, with signal handlers.
    pub(super) fn new() -> Self {
        let terminal = Arc::new(Terminal::new());
        Self { stop: Stop::install(&terminal), terminal }
    }

    /// Sets the capabilities of the terminal in a session.
    pub(super) fn prepare(&self, session: &mut Session) {
        session.set_rich(false);
        session.set_live(self.terminal.out.terminal);
    }

    /// A host for the session of a process other than the first of several, which prints nothing: all of them would
    /// print the same.
    pub(super) fn mute_host(&self) -> Host {
        Host {
            progress: Progress::new(Arc::new(Mute), self.stop.interrupt().clone()),
            output: Arc::new(|_| ()),
            input: Host::no_input(),
            width: self.terminal.width(),
        }
    }

    /// A host for sessions.
    pub(super) fn host(&self) -> Host {
        let terminal = self.terminal.clone();
        let output = move |output: Output| match output {
            Output::Text(text) => terminal.print(&text),
            Output::Warning(text) => terminal.warn(&text),
            Output::Display { bundle, id } => terminal.display(&bundle, id),
            Output::Update { bundle, id } => terminal.update(&bundle, id),
            Output::Clear { wait } => terminal.clear(wait),
        };
        Host {
            progress: Progress::new(self.terminal.clone(), self.stop.interrupt().clone()),
            output: Arc::new(output),
            input: Arc::new(ask),
            width: self.terminal.width(),
        }
    }
}

/// Shows nothing.
struct Mute;

impl ProgressSink for Mute {
    fn show(&self, _: &Snapshot) {}
}

/// Reads a line without showing it.
#[derive(Completer, Helper, Hinter, Validator)]
struct Hidden;

impl Highlighter for Hidden {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        "*".repeat(line.chars().count()).into()
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        true
    }
}

/// Reads a line for `input(prompt)`, hidden or not.
fn ask(prompt: &str, hidden: bool) -> Result<String> {
    let read = if hidden {
        Editor::<Hidden, DefaultHistory>::new().and_then(|mut editor| {
            editor.set_helper(Some(Hidden));
            editor.readline(prompt)
        })
    } else {
        DefaultEditor::new().and_then(|mut editor| editor.readline(prompt))
    };
    read.map_err(|e| match e {
        ReadlineError::Interrupted => Error::interrupted(),
        ReadlineError::Eof => Error::mistake("input() found the end of the input").with_hint("give it one more line"),
        e => Error::internal(e),
    })
}
