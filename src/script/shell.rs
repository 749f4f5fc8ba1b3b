//! Runs shell commands with line-by-line output and interrupts.

use std::io::{BufRead, BufReader, PipeReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

/// The interval at which a running command is polled.
const LOOK: Duration = Duration::from_millis(20);

/// The time between an interrupt and the kill: interrupts take effect within 200 ms.
const GRACE: Duration = Duration::from_millis(120);

/// The time to wait for output after the command has ended: a background process may hold the pipe.
const LINGER: Duration = Duration::from_millis(200);

/// A line of a command's output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ShellLine {
    /// On its standard output.
    Out(String),
    /// On its standard error.
    Err(String),
}

/// Runs `command` without input; `on_line` receives its output and errors.
///
/// # Errors
/// When there is no shell; `interrupted`, when the user cancels.
pub(crate) fn run(command: &str, interrupt: &Interrupt, on_line: &mut dyn FnMut(ShellLine)) -> Result<ExitStatus> {
    let refused = |e| Error::io("cannot run", interpreter(), e);
    let (reader, writer) = std::io::pipe().map_err(refused)?;
    let (errors, error_writer) = std::io::pipe().map_err(refused)?;
    let mut child = {
        // Dropped with its ends of the pipe, so that the reader reaches the end.
        let mut call = Command::new(interpreter());
        call.arg(if cfg!(windows) { "/C" } else { "-c" }).arg(command).stdin(Stdio::null());
        call.stdout(writer).stderr(error_writer);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut call, 0);
        call.spawn().map_err(refused)?
    };
    let (sender, lines) = mpsc::channel();
    read(reader, sender.clone(), ShellLine::Out);
    read(errors, sender, ShellLine::Err);
    let mut stopped: Option<Instant> = None;
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        let open = match lines.recv_timeout(LOOK) {
            Ok(line) => {
                on_line(line);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        };
        if ended.is_none() {
            ended = child.try_wait().map_err(refused)?.map(|status| (status, Instant::now()));
        }
        match ended {
            Some(_) if stopped.is_some() => {
                // Background processes ignore the first signal.
                signal(&child, Signal::Kill);
                return Err(Error::interrupted());
            }
            Some((status, at)) if !open || at.elapsed() > LINGER => return Ok(status),
            Some(_) => {}
            None if !open => thread::sleep(LOOK),
            None => {}
        }
        match stopped {
            None if interrupt.is_set() => {
                stopped = Some(Instant::now());
                signal(&child, Signal::Interrupt);
            }
            Some(at) if ended.is_none() && at.elapsed() > GRACE => {
                signal(&child, Signal::Kill);
                // The shell itself, where there are no process groups.
                let _ = child.kill();
            }
            _ => {}
        }
    }
}

fn interpreter() -> &'static str {
    if cfg!(windows) { "cmd" } else { "sh" }
}

/// The signal for a command.
enum Signal {
    Interrupt,
    Kill,
}

/// Sends a signal to the process group of the command.
#[cfg(unix)]
fn signal(child: &Child, signal: Signal) {
    use nix::sys::signal::{Signal as Number, killpg};
    let Ok(group) = i32::try_from(child.id()) else { return };
    let number = match signal {
        Signal::Interrupt => Number::SIGINT,
        Signal::Kill => Number::SIGKILL,
    };
    // The group may be gone.
    let _ = killpg(nix::unistd::Pid::from_raw(group), number);
}

#[cfg(not(unix))]
fn signal(_: &Child, _: Signal) {}

/// Sends the lines of a pipe to a channel.
fn read(reader: PipeReader, sender: mpsc::Sender<ShellLine>, kind: fn(String) -> ShellLine) {
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if sender.send(kind(String::from_utf8_lossy(&line).into_owned())).is_err() {
                break;
            }
            line.clear();
        }
    });
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn run_shell(command: &str) -> (ExitStatus, Vec<ShellLine>) {
        let mut lines = Vec::new();
        let status = run(command, &Interrupt::new(), &mut |line| lines.push(line)).expect("it ran");
        (status, lines)
    }

    #[test]
    fn output_and_errors_come_with_the_exit_code() {
        let (status, mut lines) = run_shell("echo one; echo two >&2; printf three; exit 3");
        assert_eq!(status.code(), Some(3));
        // Lines of two pipes have no common order.
        lines.sort_by_key(|line| matches!(line, ShellLine::Err(_)));
        assert_eq!(
            lines,
            [ShellLine::Out("one\n".into()), ShellLine::Out("three".into()), ShellLine::Err("two\n".into())]
        );
    }

    #[test]
    fn a_stop_ends_the_command_and_its_children() {
        // Commands that handle the signal, run in the background and ignore it, or trap it.
        for command in [
            "echo $$; sleep 30",
            "sleep 30 & echo $!; sleep 30; echo never",
            "trap '' INT; sleep 30 & echo $!; sleep 30; echo never",
        ] {
            let flag = Interrupt::new();
            let (mut asked, mut pid) = (Instant::now(), None);
            let error = run(command, &flag, &mut |line| {
                let ShellLine::Out(line) = line else { panic!("{line:?}") };
                pid = line.trim().parse::<i32>().ok();
                asked = Instant::now();
                flag.trigger();
            })
            .expect_err("it was stopped");
            assert!(error.is_interrupted());
            assert!(asked.elapsed() < Duration::from_millis(900), "{command}: {:?}", asked.elapsed());
            let pid = pid.expect("a process id");
            // The process is a zombie until init reaps it.
            let lives =
                || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|state| !state.contains(") Z "));
            while lives() {
                assert!(asked.elapsed() < Duration::from_secs(10), "{command} left a process");
                thread::sleep(LOOK);
            }
        }
    }

    #[test]
    fn what_runs_in_the_background_is_not_waited_for() {
        let begun = Instant::now();
        let (_, lines) = run_shell("sleep 30 & echo $! ");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let [ShellLine::Out(pid)] = &lines[..] else { panic!("{lines:?}") };
        let pid = nix::unistd::Pid::from_raw(pid.trim().parse().expect("a process id"));
        assert!(nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).is_ok(), "it still ran");
    }

    #[test]
    fn nothing_waits_for_input() {
        assert_eq!(run_shell("cat; echo done").1, [ShellLine::Out("done\n".into())]);
    }
}
