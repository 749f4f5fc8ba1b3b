//! Splits a cell into code and commands: lines like `:vars`, `?midi`, `!ls` may be above, between and below code.

use super::{Outcome, asked, command, run};
use crate::script::scan::{Open, scan};
use crate::script::{Bundle, CellError, Session};

/// A part of a cell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CommandPart<'t> {
    /// A command line; for `:time` and `:type` with all code that follows.
    Command(&'t str),
    /// Code, and its first line in the cell, from 0.
    Code(&'t str, usize),
}

/// Splits a cell.
pub(super) fn parts(cell: &str) -> Vec<CommandPart<'_>> {
    let mut parts = Vec::new();
    let (mut begin, mut at, mut number, mut first) = (0, 0, 0, 0);
    let code = |parts: &mut Vec<_>, from: usize, to: usize, first: usize| {
        if !cell[from..to].trim().is_empty() {
            parts.push(CommandPart::Code(&cell[from..to], first));
        }
    };
    for line in cell.split_inclusive('\n') {
        let end = at + line.len();
        if marked(line) && ended(&cell[begin..at], line) {
            code(&mut parts, begin, at, first);
            if takes_code(line) {
                parts.push(CommandPart::Command(cell[at..].trim()));
                return parts;
            }
            parts.push(CommandPart::Command(line.trim()));
            (begin, first) = (end, number + 1);
        }
        at = end;
        number += 1;
    }
    code(&mut parts, begin, at, first);
    parts
}

fn marked(line: &str) -> bool {
    let line = line.trim();
    line.starts_with([':', '?', '!', '%']) || asked(line).is_some()
}

/// True for commands that take code: `:time CODE`.
fn takes_code(line: &str) -> bool {
    let line = line.trim();
    let name = line.strip_prefix(':').and_then(|rest| rest.split_whitespace().next());
    name.and_then(command).is_some_and(|c| matches!(c.name, "time" | "type"))
        || line.starts_with("%%time")
        || ["%time ", "%timeit "].iter().any(|magic| line.starts_with(magic))
}

/// True when no bracket, string or comment is open; before `!`, which may also be the operator, a statement must have
/// ended.
fn ended(code: &str, line: &str) -> bool {
    let scan = scan(code);
    let whole = !scan.open.iter().any(|open| !matches!(open, Open::LineComment));
    let last = scan.code().next_back().map_or("", |t| &code[t.start..t.end]);
    whole && (!line.trim_start().starts_with(['!', '%']) || matches!(last, "" | ";" | "}"))
}

/// Runs a cell of code and commands; `report` receives the output of commands as they run. The value is that of the
/// code at the end. Errors mention `name`.
///
/// # Errors
/// The error of the first part that fails; later parts are not run.
pub fn run_cell(
    session: &mut Session,
    name: Option<&str>,
    cell: &str,
    report: &mut dyn FnMut(Outcome),
) -> Result<Option<Bundle>, CellError> {
    let mut value = None;
    for part in parts(cell) {
        value = match part {
            CommandPart::Command(line) => {
                let done = run(session, line)?;
                let over = matches!(done, Outcome::Quit);
                report(done);
                if over {
                    return Ok(None);
                }
                None
            }
            CommandPart::Code(code, first) => {
                // Empty lines preserve line numbers in errors.
                let code = format!("{}{code}", "\n".repeat(first));
                match name {
                    Some(name) => session.run_source(name, &code)?,
                    None => session.eval(&code)?,
                }
            }
        };
        if session.exits() {
            break;
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_between_code() {
        assert_eq!(
            parts(":cd x\n?midi\nlet a = [\n  1 ];\n!ls\nf(a)\n:vars"),
            [
                CommandPart::Command(":cd x"),
                CommandPart::Command("?midi"),
                CommandPart::Code("let a = [\n  1 ];\n", 2),
                CommandPart::Command("!ls"),
                CommandPart::Code("f(a)\n", 5),
                CommandPart::Command(":vars"),
            ]
        );
        assert_eq!(parts("let a = true\n  && b &&\n!c"), [CommandPart::Code("let a = true\n  && b &&\n!c", 0)]);
        assert_eq!(parts("`text\n:vars\n`"), [CommandPart::Code("`text\n:vars\n`", 0)]);
        assert_eq!(parts("net.generate?"), [CommandPart::Command("net.generate?")]);
        assert_eq!(parts(":time for i in 0..3 {\n  i\n}"), [CommandPart::Command(":time for i in 0..3 {\n  i\n}")]);
        assert_eq!(parts(" \n\n"), []);
    }
}
