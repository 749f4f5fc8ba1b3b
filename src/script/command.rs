//! The commands of the prompt, the same in terminal and notebook: `:help`, `:vars`, `?name`, `!cmd`.

use crate::script::{Bundle, Fault, Session};

/// What a command did.
#[derive(Debug)]
pub enum Done {
    /// It said this.
    Said(Bundle),
    /// It asks to leave.
    Quit,
    /// It was no command: run the text as code.
    NotACommand,
}

/// Runs `line` if it is a command (`:name …`, `?name`, `name?`, `!shell`).
///
/// # Errors
/// What the command did wrong.
pub fn run(_session: &mut Session, _line: &str) -> Result<Done, Fault> {
    todo!()
}
