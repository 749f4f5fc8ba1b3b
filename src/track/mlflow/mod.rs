//! Logs a run to an MLflow server on a thread of its own, so that a slow server does not delay training.

mod access;
mod server;

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::sink::{Beginning, Moment, Sink};
use super::{Media, Status};
use crate::error::{Error, Result};

use access::Access;
use server::{MlflowMetric, Server};

/// The most queued messages; further ones are dropped (the JSON lines are complete).
const WAITING: usize = 10_000;
/// The most metrics of one request.
const BATCH: usize = 1000;
/// Delays before a request is retried.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];
/// How long the end of a run waits for queued messages.
const FAREWELL: Duration = Duration::from_secs(20);

#[derive(Debug)]
enum Job {
    Metric(MlflowMetric),
    Artifact(String, Vec<u8>),
    End(Status, f64),
}

/// Sends a run to a server.
#[derive(Debug)]
pub(super) struct Mlflow {
    jobs: SyncSender<Job>,
    trouble: Arc<Mutex<Option<Error>>>,
    done: Receiver<()>,
}

impl Mlflow {
    /// Starts the thread without waiting for the server.
    ///
    /// # Errors
    /// An address that is not a server's, or a thread that cannot be started.
    pub(super) fn open(address: &str, run: &Beginning) -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let access = Access::of(address, &variable)?;
        let (jobs, waiting) = sync_channel(WAITING);
        let (say_done, done) = sync_channel(1);
        let trouble = Arc::new(Mutex::new(None));
        let (run, shared) = (run.clone(), Arc::clone(&trouble));
        let work = move || {
            if let Err(error) = send(&access, &run, &waiting) {
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
            // The receiver may be gone.
            let _ = say_done.send(());
        };
        let thread = std::thread::Builder::new().name("mlflow".into()).spawn(work);
        thread.map_err(|e| Error::broken(format!("cannot begin a thread: {e}")))?;
        Ok(Self { jobs, trouble, done })
    }

    fn put(&self, job: Job) -> Result<()> {
        match self.jobs.try_send(job) {
            Ok(()) | Err(TrySendError::Full(_)) => self.check_worker(),
            Err(TrySendError::Disconnected(_)) => {
                self.check_worker()?;
                Err(Error::broken("the connection to the MLflow server has ended"))
            }
        }
    }

    /// Returns the error of the thread, if it failed.
    fn check_worker(&self) -> Result<()> {
        match self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Sink for Mlflow {
    fn name(&self) -> &'static str {
        "mlflow"
    }

    fn log(&mut self, at: Moment, values: &[(String, f64)]) -> Result<()> {
        values.iter().try_for_each(|(key, value)| {
            self.put(Job::Metric(MlflowMetric { key: key.clone(), value: *value, step: at.step, time: at.time }))
        })
    }

    fn media(&mut self, _: Moment, _: &str, media: &Media, file: &Path) -> Result<()> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        self.put(Job::Artifact(format!("media/{name}"), media.bytes().to_vec()))
    }

    fn finish(&mut self, at: Moment, status: Status) -> Result<()> {
        // A full queue empties in a while, or the thread has ended.
        let end = Job::End(status, at.time);
        if self.jobs.send(end).is_ok() && self.done.recv_timeout(FAREWELL).is_err() {
            return Err(Error::broken("the MLflow server is too slow: not all values were sent"));
        }
        self.check_worker()
    }
}

/// Sends messages until the end of the run.
fn send(access: &Access, run: &Beginning, jobs: &Receiver<Job>) -> Result<()> {
    let server = patiently(|| Server::begin(access, run))?;
    let mut metrics: Vec<MlflowMetric> = Vec::new();
    loop {
        let job = if metrics.is_empty() {
            jobs.recv().map_err(|_| TryRecvError::Disconnected)
        } else if metrics.len() < BATCH {
            jobs.try_recv()
        } else {
            Err(TryRecvError::Empty)
        };
        if let Ok(Job::Metric(metric)) = job {
            metrics.push(metric);
            continue;
        }
        if !metrics.is_empty() {
            patiently(|| server.log(&metrics))?;
            metrics.clear();
        }
        match job {
            Ok(Job::Artifact(name, bytes)) => patiently(|| server.artifact(&name, &bytes))?,
            Ok(Job::End(status, time)) => return patiently(|| server.end(status, time)),
            Ok(Job::Metric(_)) | Err(TryRecvError::Empty) => {}
            // The run was dropped without an end.
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
}

/// Retries a call up to three times, after a delay each.
fn patiently<T>(call: impl Fn() -> Result<T>) -> Result<T> {
    let mut result = call();
    for pause in PAUSES {
        if result.is_ok() {
            break;
        }
        std::thread::sleep(pause);
        result = call();
    }
    result
}
