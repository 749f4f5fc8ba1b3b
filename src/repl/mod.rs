//! The terminal: a prompt over a session, and scripts run from files, pipes and the command line. Every function here
//! returns the exit code of the process: 0, 1 after an error, 130 after an interrupt, or the argument of `exit(n)`.

mod bar;
mod files;
mod helper;
mod highlight;
mod keys;
mod live;
mod picture;
mod prompt;
mod sixel;
mod stop;
mod style;
mod terminal;
mod terminal_session;

use std::path::Path;

use crate::script::command;
use crate::script::programs::Program;
use crate::script::{Bundle, CellError, Session, on_big_stack};
use crate::train::parallel::World;
use terminal_session::TerminalSession;

/// The exit code for a wrong call.
const USAGE: i32 = 2;

/// Runs the prompt; `init` says whether the startup script runs first.
pub fn prompt(init: bool) -> i32 {
    on_big_stack(|| prompt::run(&TerminalSession::new(), init))
}

/// Runs a script file, or the code cells of a notebook, with arguments.
pub fn file(path: &Path, args: &[String]) -> i32 {
    script(args, false, |session| command::run_file(session, path))
}

/// Runs a program that comes with the binary; called wrongly, it ends with 2.
pub fn program(program: &Program, args: &[String]) -> i32 {
    let run = |session: &mut Session| session.run_source(program.name, program.source);
    reported(args, false, run, |fault, _| (fault.told(), if fault.usage { USAGE } else { 1 }))
}

/// Runs code without a file; `name` is its name in errors, and `show` prints the value.
pub fn code(name: &str, code: &str, args: &[String], show: bool) -> i32 {
    script(args, show, |session| session.run_source(name, code))
}

fn script(
    args: &[String],
    show: bool,
    run: impl FnOnce(&mut Session) -> Result<Option<Bundle>, CellError> + Send,
) -> i32 {
    reported(args, show, run, |fault, color| (fault.render(color), 1))
}

/// Runs a script; `report` gives the text and exit code of an error, in colour or not.
fn reported(
    args: &[String],
    show: bool,
    run: impl FnOnce(&mut Session) -> Result<Option<Bundle>, CellError> + Send,
    report: impl FnOnce(&CellError, bool) -> (String, i32) + Send,
) -> i32 {
    on_big_stack(|| {
        let terminal_session = TerminalSession::new();
        // An incomplete environment is reported by the first use of the ranks.
        let rank = World::from_env().ok().flatten().map_or(0, |world| world.rank);
        let mut session = Session::new(if rank == 0 { terminal_session.host() } else { terminal_session.mute_host() });
        terminal_session.prepare(&mut session);
        session.set_args(args);
        let result = terminal_session.stop.during(|| run(&mut session));
        terminal_session.terminal.settle();
        if let Some(code) = session.take_exit() {
            return code;
        }
        match result {
            Ok(Some(value)) if show => terminal_session.terminal.show(&value, None),
            Ok(_) => {}
            Err(fault) => {
                let (text, code) = report(&fault, terminal_session.terminal.err.color);
                match rank {
                    0 => terminal_session.terminal.warn(&text),
                    _ if fault.interrupted => {}
                    rank => terminal_session.terminal.warn(&format!("rank {rank}: {}", fault.brief())),
                }
                return if fault.interrupted { stop::INTERRUPTED } else { code };
            }
        }
        0
    })
}
