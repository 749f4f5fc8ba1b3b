//! `!command`: a command of the system's shell, its output passed on line by line as it comes.

use super::{Outcome, mistake, said};
use crate::script::shell::{ShellLine, run};
use crate::script::{CellError, Output, Session};

/// `!command`: says nothing more than the exit code, and that only when it is not 0.
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
        Some(0) => said(""),
        Some(127) => said("exit code 127 (the shell knows no such command; for 'not' in code, write (!x))"),
        Some(code) => said(format!("exit code {code}")),
        None => said("ended by a signal"),
    }
}
