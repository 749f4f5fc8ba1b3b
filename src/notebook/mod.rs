//! The Jupyter kernel: a session served through the kernel host. The only module that uses both.
//!
//! [`serve`] is `etude kernel run`; [`install`], [`list`] and [`uninstall`] are the commands of these names. The
//! session is on the host's interpreter thread; completion and documentation are served from another, also while a cell
//! runs.

mod assistant;
mod bar;
mod forms;
mod spec;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use etude_kernel::{Bundle, Exit, Fault, Interpreter, Language, Outbox, Output, Stdin, Stop, read_connection};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::script::command::{self, Outcome};
use crate::script::{Host, Session};
use assistant::{NotebookAssistant, Running};
pub use etude_kernel::Installed;
pub use spec::{Choice, Support, install, list, log_file, uninstall};

/// Columns of text forms in a notebook.
const WIDTH: usize = 100;

/// Serves the kernel that a connection file describes, until the front end asks for shutdown. Exit the process then: a
/// cell may still run on its thread.
///
/// # Errors
/// A connection file that cannot be read or asks for something unsupported; a port that is taken.
pub fn serve(connection_file: &Path) -> Result<Exit> {
    let refused = |e: etude_kernel::Error| Error::mistake(e.to_string());
    let connection = read_connection(connection_file).map_err(refused)?;
    let interrupt = Interrupt::new();
    let flag = interrupt.clone();
    let stop = Stop::new(move || flag.trigger());
    etude_kernel::serve(&connection, stop, move |outbox, stdin| Ok(Notebook::new(outbox, stdin, interrupt)))
        .map_err(refused)
}

/// A session as an interpreter of the kernel host.
#[derive(Debug)]
pub struct Notebook {
    session: Session,
    outbox: Outbox,
    running: Running,
}

impl Notebook {
    /// A session that sends output to `outbox`, reads input from `stdin` and stops on `interrupt`.
    pub fn new(outbox: Outbox, stdin: Stdin, interrupt: Interrupt) -> Self {
        let sender = outbox.clone();
        let host = Host {
            progress: Progress::new(Arc::new(bar::ProgressBar::new(outbox.clone())), interrupt),
            output: Arc::new(move |output| sender.send(forms::output(output))),
            input: Arc::new(move |prompt, hidden| stdin.ask(prompt, hidden).map_err(|fault| forms::no_line(&fault))),
            width: WIDTH,
        };
        Self { session: Session::new(host), outbox, running: Running::default() }
    }

    fn run(&mut self, cell: &str) -> Result<Option<Bundle>, Fault> {
        let outbox = &self.outbox;
        let mut report = |done: Outcome| match done {
            Outcome::Shown(bundle) if bundle.plain().is_empty() => {}
            Outcome::Shown(bundle) if bundle.forms.len() == 1 => {
                outbox.send(Output::Stdout(format!("{}\n", bundle.plain())));
            }
            Outcome::Shown(bundle) => outbox.send(Output::Display { bundle: forms::bundle(&bundle), id: None }),
            Outcome::Page(bundle) => outbox.send(Output::Page(forms::bundle(&bundle))),
            Outcome::Quit => outbox.send(Output::Leave),
            Outcome::NotACommand => {}
        };
        let value = command::run_cell(&mut self.session, None, cell, &mut report).map_err(|f| forms::fault(&f))?;
        if self.session.take_exit().is_some() {
            self.outbox.send(Output::Leave);
        }
        Ok(value.map(|value| forms::bundle(&value)))
    }
}

impl Interpreter for Notebook {
    fn language(&self) -> Language {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Language {
            name: "rhai".into(),
            version: "1.27".into(),
            mimetype: "text/x-rhai".into(),
            file_extension: ".rhai".into(),
            pygments_lexer: spec::highlighter(spec::PYGMENTS),
            codemirror_mode: spec::highlighter(spec::CODEMIRROR),
            implementation: "etude".into(),
            banner: format!("Étude {version}, a practice room for music transformers. :help says what can be typed."),
            implementation_version: version,
            help_links: vec![("The Rhai language".into(), "https://rhai.rs/book/".into())],
        }
    }

    fn execute(&mut self, cell: &str) -> Result<Option<Bundle>, Fault> {
        self.running.set(cell);
        let result = self.run(cell);
        self.running.set("");
        result
    }

    fn evaluate(&mut self, expression: &str) -> Result<Bundle, Fault> {
        let value = self.session.peek(expression).map_err(|fault| forms::fault(&fault))?;
        Ok(forms::bundle(&value))
    }

    fn history_file(&self) -> Option<PathBuf> {
        spec::history()
    }

    fn assistant(&self) -> Box<dyn etude_kernel::Assistant> {
        let symbols = (*self.session.symbols()).clone();
        Box::new(NotebookAssistant { symbols, running: self.running.clone() })
    }
}

#[cfg(test)]
mod tests;
