//! Trials that are programs: `etude train …`, each in a process and a folder of its own.
//!
//! A trial receives its values as flags, and resumes from a checkpoint if there is one; its measurements are read from
//! the JSON lines of its tracker. It is interrupted as by Ctrl-C, so that it saves a checkpoint. Its standard input is
//! a file that it keeps locked: when a sweep was killed but its trials were not, the next one detects that they still
//! run, stops them, and resumes them.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::script::Output;
use crate::script::context::ScriptContext;
use crate::script::failure::Fallible;
use crate::sweep::{Standing, Sweep, Trial, Worker};
use crate::track::Runs;

/// The lock file of a running trial; it contains its process id.
const LOCK: &str = ".trial.lock";
/// The output of a trial.
const LOG: &str = "log.txt";
/// The JSON lines of its tracker.
const LINES: &str = "metrics.jsonl";
/// The time in which a trial of a killed sweep must stop.
const PATIENCE: Duration = Duration::from_secs(120);
/// The exit code of an interrupted program.
const INTERRUPTED: i32 = 130;

/// Runs up to `n` trials, `jobs` at a time.
pub(super) fn run(
    sweep: &mut Sweep,
    ctx: &ScriptContext,
    (words, jobs): (&[String], usize),
    n: Option<u64>,
    watch: &mut dyn FnMut(&Sweep),
) -> Fallible<()> {
    let Some(dir) = sweep.folder().map(Path::to_path_buf) else {
        return Err(Error::mistake("a sweep of programs needs a folder for them").into());
    };
    for trial in sweep.trials().iter().filter(|trial| trial.standing == Standing::Interrupted) {
        retire(&dir.join(trial.name()), ctx.progress())?;
    }
    let program = std::env::current_exe().map_err(|e| Error::io("cannot find", "this program", e))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores / jobs).max(1);
    let metric = sweep.config().metric.as_ref().map(|metric| metric.name.clone());
    let mut launch = |trial: &Trial| -> Result<Box<dyn Worker>> {
        let folder = dir.join(trial.name());
        let mut command = Command::new(&program);
        command.args(["--threads", &threads.to_string()]).args(words);
        command.args(["--resume", "--output_dir"]).arg(&folder).args(flags(&trial.params));
        Ok(Box::new(Process::begin(command, folder, metric.clone())?))
    };
    // The displayed table replaces the progress bar.
    let progress = if ctx.live() { ctx.progress().quiet() } else { ctx.progress().clone() };
    sweep.run(n, jobs, &mut launch, watch, &progress)?;
    for trial in sweep.trials().iter().filter(|trial| !trial.note.is_empty()) {
        ctx.say(Output::Warning(format!("{}: {}\n", trial.name(), trial.note)));
    }
    Ok(())
}

/// Values as flags: `--lr=0.001 --augment.transpose=12`.
fn flags(params: &Map<String, Value>) -> Vec<String> {
    fn put(prefix: &str, params: &Map<String, Value>, flags: &mut Vec<String>) {
        for (key, value) in params {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                Value::Object(inner) => put(&key, inner, flags),
                Value::String(text) => flags.push(format!("--{key}={text}")),
                other => flags.push(format!("--{key}={other}")),
            }
        }
    }
    let mut all = Vec::new();
    put("", params, &mut all);
    all
}

/// The lock of a trial; `None` while a process holds it.
fn lock(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|e| Error::io("cannot write", &path, e))?;
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        // A file system without locks cannot tell.
        Ok(()) | Err(std::fs::TryLockError::Error(_)) => Ok(Some(file)),
    }
}

/// Stops a trial of a killed sweep.
fn retire(folder: &Path, progress: &Progress) -> Result<()> {
    if !folder.exists() || lock(folder)?.is_some() {
        return Ok(());
    }
    // The lock is held by the process whose id is in the file.
    let pid = std::fs::read_to_string(folder.join(LOCK)).ok().and_then(|text| text.trim().parse().ok());
    if let Some(pid) = pid {
        ask_to_stop(pid);
    }
    let begun = Instant::now();
    while lock(folder)?.is_none() {
        progress.check()?;
        if begun.elapsed() > PATIENCE {
            let pid = pid.map_or_else(String::new, |pid| format!(" ({pid})"));
            return Err(Error::broken(format!(
                "a process{pid} of an earlier sweep is still at work in {}",
                folder.display()
            ))
            .with_hint("end it, and run the sweep again"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Interrupts a process as Ctrl-C does.
#[cfg(unix)]
fn ask_to_stop(pid: u32) {
    let Ok(pid) = i32::try_from(pid) else { return };
    // The process may be gone.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGINT);
}

#[cfg(not(unix))]
fn ask_to_stop(_: u32) {}

/// A running trial.
#[derive(Debug)]
struct Process {
    child: Child,
    folder: PathBuf,
    metric: Option<String>,
    /// Size of its JSON lines when they were last read, in bytes.
    read: u64,
    values: Vec<f64>,
}

impl Process {
    fn begin(mut command: Command, folder: PathBuf, metric: Option<String>) -> Result<Self> {
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("cannot make the folder", &folder, e))?;
        let Some(held) = lock(&folder)? else {
            return Err(Error::mistake(format!("a process is at work in {}", folder.display())));
        };
        let log = folder.join(LOG);
        let opened = OpenOptions::new().create(true).append(true).open(&log);
        let stdout_file = opened.map_err(|e| Error::io("cannot write", &log, e))?;
        let stderr_file = stdout_file.try_clone().map_err(|e| Error::io("cannot write", &log, e))?;
        command.stdin(Stdio::from(held)).stdout(stdout_file).stderr(stderr_file);
        #[cfg(unix)]
        {
            // Ctrl-C reaches only the sweep, which passes it on once.
            use std::os::unix::process::CommandExt as _;
            command.process_group(0);
        }
        let child = command.spawn().map_err(|e| Error::io("cannot start", Path::new(command.get_program()), e))?;
        // Only for the next sweep, which finds the process by it.
        let _ = std::fs::write(folder.join(LOCK), child.id().to_string());
        Ok(Self { child, folder, metric, read: 0, values: Vec::new() })
    }

    /// Reads new lines of its tracker.
    fn refresh(&mut self) {
        let Some(metric) = &self.metric else { return };
        let size = std::fs::metadata(self.folder.join(LINES)).map_or(0, |meta| meta.len());
        if size == self.read {
            return;
        }
        // An incomplete line is read the next time.
        if let Ok(runs) = Runs::read(&self.folder)
            && let Some(run) = runs.all.first()
        {
            self.read = size;
            self.values = run.values.get(metric).map_or_else(Vec::new, |values| values.values().copied().collect());
        }
    }

    /// The reason for missing measurements.
    fn silence(&self) -> String {
        let Some(metric) = self.metric.as_ref().filter(|_| self.values.is_empty()) else { return String::new() };
        let runs = Runs::read(&self.folder).ok();
        let names = runs.as_ref().map_or_else(Vec::new, Runs::names);
        format!("it logged no {metric}; there are: {}", names.join(", "))
    }

    /// The last error in its log.
    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join(LOG)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let error = lines.iter().rposition(|line| line.starts_with("error"));
        match error {
            Some(at) => lines[at..].join(" ").chars().take(300).collect(),
            None => lines.last().map_or_else(String::new, |line| line.chars().take(300).collect()),
        }
    }
}

impl Worker for Process {
    fn values(&mut self) -> Vec<f64> {
        self.refresh();
        self.values.clone()
    }

    fn ended(&mut self) -> Result<Option<(Standing, String)>> {
        let Some(status) = self.child.try_wait().map_err(|e| Error::io("cannot watch", &self.folder, e))? else {
            return Ok(None);
        };
        self.refresh();
        Ok(Some(match status.code() {
            Some(0) => (Standing::Finished, self.silence()),
            Some(INTERRUPTED) => (Standing::Interrupted, String::new()),
            Some(code) => (Standing::Failed, format!("exit code {code}: {}", self.last_words())),
            None => (Standing::Failed, format!("killed ({status})")),
        }))
    }

    fn stop(&mut self) {
        if cfg!(unix) {
            ask_to_stop(self.child.id());
        } else {
            let _ = self.child.kill(); // it goes on from its last checkpoint
        }
    }
}
