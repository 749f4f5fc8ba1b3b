//! `!command`: a command of the system's shell, its output passed on line by line as it comes.

use std::io::{BufRead, BufReader, PipeReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Done, mistake, said};
use crate::error::{Error, Result};
use crate::script::{Fault, Host, Output, Session};

/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long a command that was asked to stop may take before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// How long output is waited for after the command has ended: one that it left in the background may hold the pipe.
const LINGER: Duration = Duration::from_millis(200);

/// `!command`: says nothing more than the exit code, and that only when it is not 0.
pub(super) fn shell(session: &mut Session, command: &str) -> Result<Done, Fault> {
    if command.trim().is_empty() {
        return mistake("! needs a command of the shell", "!ls");
    }
    session.host().progress.interrupt().clear();
    let status = run(command, session.host()).map_err(|e| Fault::from(&e))?;
    match status.code() {
        Some(0) => said(""),
        Some(127) => said("exit code 127 (the shell knows no such command; for 'not' in code, write (!x))"),
        Some(code) => said(format!("exit code {code}")),
        None => said("ended by a signal"),
    }
}

/// Runs `command` without input; its output and errors go to the host in the order they come.
///
/// # Errors
/// When there is no shell, or when the user stopped it.
fn run(command: &str, host: &Host) -> Result<ExitStatus> {
    let refused = |e| Error::io("cannot run", interpreter(), e);
    let (reader, writer) = std::io::pipe().map_err(refused)?;
    let mut child = {
        // Dropped with its ends of the pipe, so that the reader sees the end.
        let mut call = Command::new(interpreter());
        call.arg(if cfg!(windows) { "/C" } else { "-c" }).arg(command).stdin(Stdio::null());
        call.stdout(writer.try_clone().map_err(refused)?).stderr(writer);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut call, 0);
        call.spawn().map_err(refused)?
    };
    let lines = lines(reader);
    let mut stopped: Option<Instant> = None;
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        let open = match lines.recv_timeout(LOOK) {
            Ok(line) => {
                (host.output)(Output::Text(line));
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
            None if host.progress.interrupt().is_set() => {
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

/// The lines of a pipe, as they come.
fn lines(reader: PipeReader) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    receiver
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::interrupt::Interrupt;

    fn host() -> (Host, Arc<Mutex<String>>) {
        let said = Arc::new(Mutex::new(String::new()));
        let into = said.clone();
        let output = Arc::new(move |output: Output| {
            if let Output::Text(text) = output {
                into.lock().expect("no panic holds it").push_str(&text);
            }
        });
        (Host { output, ..Host::silent() }, said)
    }

    #[test]
    fn output_and_errors_come_in_order_with_the_exit_code() {
        let (host, said) = host();
        let status = run("echo one; echo two >&2; printf three; exit 3", &host).expect("it ran");
        assert_eq!(status.code(), Some(3));
        assert_eq!(*said.lock().expect("free"), "one\ntwo\nthree");
    }

    #[test]
    fn a_stop_ends_the_command_and_its_children() {
        let (host, _) = host();
        let flag: Interrupt = host.progress.interrupt().clone();
        let stopper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            flag.trigger();
        });
        let begun = Instant::now();
        let error = run("sleep 30 & sleep 30; echo never", &host).expect_err("it was stopped");
        assert!(error.is_interrupted());
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        stopper.join().expect("no panic");
    }

    #[test]
    fn what_runs_in_the_background_is_not_waited_for() {
        let begun = Instant::now();
        let (host, said) = host();
        run("sleep 30 & echo $! ", &host).expect("it ran");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let pid = said.lock().expect("free").trim().to_owned();
        assert!(Command::new("kill").arg(pid).status().is_ok_and(|s| s.success()), "it still ran");
    }

    #[test]
    fn nothing_waits_for_input() {
        let (host, said) = host();
        assert!(run("cat; echo done", &host).is_ok_and(|s| s.success()));
        assert_eq!(*said.lock().expect("free"), "done\n");
    }
}
