//! `etude train --nproc_per_node 4`: starts and supervises the ranks of a run on this machine.
//!
//! Each rank is this program again, with torchrun's environment variables for its number. When one fails, the others
//! are given time to save the run, then interrupted, then killed.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::num::NonZeroUsize;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use etude::error::{Error, Result};
use etude::train::parallel::World;

/// The interval at which the ranks are polled.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The time in which the others should end by themselves after a failure.
const KEEPING: Duration = Duration::from_secs(60);
/// The time in which they should end after an interrupt.
const STOPPING: Duration = Duration::from_secs(30);

/// The number of ranks that a command line asks for, when this process is to start them.
pub(crate) fn wanted(words: &[String]) -> Result<Option<usize>> {
    if words.first().is_none_or(|name| name != "train") || World::from_env()?.is_some() {
        return Ok(None);
    }
    let mut value = None;
    for (place, word) in words.iter().enumerate() {
        let Some(flag) = word.strip_prefix("--") else { continue };
        let (name, inline) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        if name.replace('-', "_") == "nproc_per_node" {
            value = Some(inline.or(words.get(place + 1).map(String::as_str)).unwrap_or_default());
        }
    }
    let Some(value) = value else { return Ok(None) };
    match value.parse::<usize>() {
        Ok(0) | Err(_) => Err(Error::mistake(format!("--nproc_per_node is '{value}'"))
            .with_hint("it says how many ranks train on this machine: --nproc_per_node 4")),
        Ok(1) => Ok(None),
        Ok(ranks) => Ok(Some(ranks)),
    }
}

/// The default number of threads of a rank that shares its machine with others: its part of the processors.
pub(crate) fn threads() -> Option<usize> {
    let told = ["RAYON_NUM_THREADS", "OMP_NUM_THREADS"].iter().find_map(|name| std::env::var(name).ok());
    if let Some(told) = told {
        return told.split(',').next()?.trim().parse().ok().filter(|&threads| threads > 0);
    }
    let world = World::from_env().ok().flatten()?;
    let all = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    // `mpirun` and `srun` may have pinned the rank to processors already.
    let bound = processors().is_some_and(|there| all < there);
    Some(if bound { all } else { (all / world.local_size).max(1) })
}

/// The number of processors of the machine, from Linux's "0-7,16-23".
fn processors() -> Option<usize> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
    let count = |part: &str| match part.split_once('-') {
        Some((from, to)) => Some(to.parse::<usize>().ok()? + 1 - from.parse::<usize>().ok()?),
        None => part.parse::<usize>().ok().map(|_| 1),
    };
    text.trim().split(',').map(count).sum()
}

/// Starts the ranks, waits for them and returns the exit code.
pub(crate) fn run(ranks: usize, threads: Option<NonZeroUsize>, words: &[String]) -> Result<i32> {
    let failed = |e: io::Error| Error::io("cannot start", "the ranks", e);
    let program = std::env::current_exe().map_err(failed)?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|door| door.local_addr()).map_err(failed)?.port();
    let stop = Arc::new(AtomicBool::new(false));
    let handler = stop.clone();
    ctrlc::set_handler(move || handler.store(true, Ordering::SeqCst)).map_err(Error::internal)?;
    #[cfg(unix)]
    signal_hook::flag::register(signal_hook::consts::SIGTERM, stop.clone()).map_err(failed)?;
    let mut children = Vec::new();
    for rank in 0..ranks {
        let mut command = Command::new(&program);
        if let Some(threads) = threads {
            command.args(["--threads", &threads.to_string()]);
        }
        command.args(words).stdin(Stdio::null());
        let numbers = [("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", ranks), ("LOCAL_WORLD_SIZE", ranks)];
        command.envs(numbers.map(|(name, number)| (name, number.to_string())));
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
        command.env("ETUDE_JOB", std::process::id().to_string());
        // Ctrl-C reaches only this process, which passes it on once.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        match command.spawn() {
            Ok(child) => children.push(child),
            Err(error) => {
                children.iter_mut().for_each(|child: &mut Child| drop(child.kill()));
                return Err(failed(error));
            }
        }
    }
    Ok(watch(children, &stop))
}

/// Waits for all ranks and returns the exit code of the first that failed.
fn watch(mut children: Vec<Child>, stop: &AtomicBool) -> i32 {
    let (mut code, mut failed, mut asked, mut passed_on) = (0, None::<Instant>, None::<Instant>, false);
    let mut left: Vec<usize> = (0..children.len()).collect();
    while !left.is_empty() {
        std::thread::sleep(LOOK_EVERY);
        left.retain(|&rank| match children[rank].try_wait() {
            Ok(None) => true,
            Ok(Some(status)) if status.success() => false,
            Ok(Some(status)) => {
                if status.code().is_none() {
                    let _ = writeln!(io::stderr(), "rank {rank} was ended from outside: {status}");
                }
                if failed.is_none() {
                    (failed, code) = (Some(Instant::now()), status.code().unwrap_or(1));
                }
                false
            }
            Err(_) => false,
        });
        let stopping = stop.load(Ordering::SeqCst);
        if (stopping && !passed_on) || (asked.is_none() && failed.is_some_and(|at| at.elapsed() > KEEPING)) {
            passed_on = stopping;
            asked = Some(Instant::now());
            left.iter().for_each(|&rank| terminate(&mut children[rank]));
        }
        // A long step must not be lost: ranks are killed only after a failure or an interrupt.
        if failed.is_some() && asked.is_some_and(|at| at.elapsed() > STOPPING + KEEPING) {
            left.iter().for_each(|&rank| drop(children[rank].kill()));
        }
    }
    code
}

#[cfg(unix)]
fn terminate(child: &mut Child) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    // The standard library knows SIGKILL only. A rank that has ended needs no signal.
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

#[cfg(not(unix))]
fn terminate(child: &mut Child) {
    let _ = child.kill();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Option<usize>> {
        wanted(&line.split(' ').map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn only_a_training_that_asks_for_ranks_gets_them() {
        assert_eq!(asked("train --lr 1 --nproc_per_node 4 --strategy ddp").expect("a number"), Some(4));
        assert_eq!(asked("train --nproc-per-node=2").expect("a number"), Some(2));
        assert_eq!(asked("train --nproc_per_node 1").expect("a number"), None);
        assert_eq!(asked("train --lr 1").expect("none"), None);
        assert_eq!(asked("evaluate --nproc_per_node 4").expect("none"), None);
        assert!(asked("train --nproc_per_node many").is_err() && asked("train --nproc_per_node").is_err());
    }
}
