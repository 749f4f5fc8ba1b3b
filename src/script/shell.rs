//! A command of the system's shell: its output line by line as it comes, and stopped when the user stops it.

use std::io::{BufRead, BufReader, PipeReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long a command that was asked to stop may take before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// How long output is waited for after the command has ended: one that it left in the background may hold the pipe.
const LINGER: Duration = Duration::from_millis(200);

/// A line of a command's output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// On its standard output.
    Out(String),
    /// On its standard error.
    Err(String),
}

/// Runs `command` without input; its output and errors go to `said` as they come.
///
/// # Errors
/// When there is no shell; `interrupted`, when the user cancels.
pub(crate) fn run(command: &str, interrupt: &Interrupt, said: &mut dyn FnMut(Line)) -> Result<ExitStatus> {
    let refused = |e| Error::io("cannot run", interpreter(), e);
    let (reader, writer) = std::io::pipe().map_err(refused)?;
    let (errors, error_writer) = std::io::pipe().map_err(refused)?;
    let mut child = {
        // Dropped with its ends of the pipe, so that the reader sees the end.
        let mut call = Command::new(interpreter());
        call.arg(if cfg!(windows) { "/C" } else { "-c" }).arg(command).stdin(Stdio::null());
        call.stdout(writer).stderr(error_writer);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut call, 0);
        call.spawn().map_err(refused)?
    };
    let (sender, lines) = mpsc::channel();
    read(reader, sender.clone(), Line::Out);
    read(errors, sender, Line::Err);
    let mut stopped: Option<Instant> = None;
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        let open = match lines.recv_timeout(LOOK) {
            Ok(line) => {
                said(line);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        };
        if ended.is_none() {
            ended = child.try_wait().map_err(refused)?.map(|status| (status, Instant::now()));
        }
        match ended {
            Some(_) if stopped.is_some() => return Err(Error::interrupted()),
            Some((status, at)) if !open || at.elapsed() > LINGER => return Ok(status),
            Some(_) => {}
            None if !open => thread::sleep(LOOK),
            None => {}
        }
        match stopped {
            None if interrupt.is_set() => {
                stopped = Some(Instant::now());
                signal(&child, "INT");
            }
            Some(at) if ended.is_none() && at.elapsed() > GRACE => {
                signal(&child, "KILL");
                // The shell itself, should there be nothing to send signals with.
                let _ = child.kill();
            }
            _ => {}
        }
    }
}

fn interpreter() -> &'static str {
    if cfg!(windows) { "cmd" } else { "sh" }
}

/// Sends a signal to the command and to all it started.
fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} -- -{}", child.id());
    let _ = Command::new(interpreter()).arg("-c").arg(kill).stderr(Stdio::null()).status();
}

/// Sends the lines of a pipe as they come.
fn read(reader: PipeReader, sender: mpsc::Sender<Line>, kind: fn(String) -> Line) {
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

    fn said(command: &str) -> (ExitStatus, Vec<Line>) {
        let mut lines = Vec::new();
        let status = run(command, &Interrupt::new(), &mut |line| lines.push(line)).expect("it ran");
        (status, lines)
    }

    #[test]
    fn output_and_errors_come_with_the_exit_code() {
        let (status, mut lines) = said("echo one; echo two >&2; printf three; exit 3");
        assert_eq!(status.code(), Some(3));
        // Two pipes keep no common order.
        lines.sort_by_key(|line| matches!(line, Line::Err(_)));
        assert_eq!(lines, [Line::Out("one\n".into()), Line::Out("three".into()), Line::Err("two\n".into())]);
    }

    #[test]
    fn a_stop_ends_the_command_and_its_children() {
        let flag = Interrupt::new();
        let trigger = flag.clone();
        let stopper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            trigger.trigger();
        });
        let begun = Instant::now();
        let error = run("sleep 30 & sleep 30; echo never", &flag, &mut |_| {}).expect_err("it was stopped");
        assert!(error.is_interrupted());
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        stopper.join().expect("no panic");
    }

    #[test]
    fn what_runs_in_the_background_is_not_waited_for() {
        let begun = Instant::now();
        let (_, lines) = said("sleep 30 & echo $! ");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let [Line::Out(pid)] = &lines[..] else { panic!("{lines:?}") };
        let pid = nix::unistd::Pid::from_raw(pid.trim().parse().expect("a process id"));
        assert!(nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).is_ok(), "it still ran");
    }

    #[test]
    fn nothing_waits_for_input() {
        assert_eq!(said("cat; echo done").1, [Line::Out("done\n".into())]);
    }
}
