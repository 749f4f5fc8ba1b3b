//! `!command`: runs a command in the system's shell and passes its output on line by line.

use super::{Outcome, mistake, text_output};
use crate::script::shell::{ShellLine, run};
use crate::script::{CellError, Output, Session};

/// Runs the command; the result is its exit code, if it is not 0.
pub(super) fn shell(session: &mut Session, command: &str) -> Result<Outcome, CellError> {
    if command.trim().is_empty() {
        return mistake("! needs a command of the shell", "!ls");
    }
    let host = session.host();
    host.progress.interrupt().clear();
    let output = host.output.clone();
    let mut say = |line: ShellLine| match line {
        ShellLine::Out(text) | ShellLine::Err(text) => output(Output::Text(text)),
    };
    let status = run(command, host.progress.interrupt(), &mut say).map_err(|e| CellError::from(&e))?;
    match status.code() {
        Some(0) => text_output(""),
        Some(127) => text_output("exit code 127 (the shell knows no such command; for 'not' in code, write (!x))"),
        Some(code) => text_output(format!("exit code {code}")),
        None => text_output("ended by a signal"),
    }
}
