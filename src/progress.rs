//! Progress reports of long work, and its cancellation.
//!
//! Nothing below the terminal prints. A [`Progress`] carries a sink (a terminal line, a notebook display, or none) and
//! the [`Interrupt`]; long work opens a [`Task`] and calls [`Task::advance`], which fails when the user has cancelled.

mod format;

#[cfg(test)]
pub(crate) use format::tests::task as training_task;
pub(crate) use format::{four_digits, thousands};

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::interrupt::Interrupt;

/// The state of one task, as a sink shows it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What is being done: "reading", "training".
    pub title: String,
    /// What is counted: "files", "steps", "tokens".
    pub unit: &'static str,
    /// Number of units done.
    pub done: u64,
    /// Number of units in total, if known.
    pub total: Option<u64>,
    /// A note that the work sets: "loss 2.31".
    pub note: String,
    /// Time since the task began.
    pub elapsed: Duration,
    /// True in the last snapshot of a task.
    pub finished: bool,
    /// True when the user has cancelled.
    pub stopped: bool,
}

impl Snapshot {
    /// Units per second so far.
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Time left at the present rate, when the total is known and something is done.
    pub fn remaining(&self) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.done) as f64;
        (self.done > 0).then(|| Duration::from_secs_f64((left / self.rate()).min(1e9)))
    }
}

/// A display of [`Snapshot`]s: a terminal line, a notebook display.
pub trait ProgressSink: Send + Sync {
    /// Shows the state of a task; called at most ten times a second, and once when the task ends.
    fn show(&self, snapshot: &Snapshot);
}

/// A clonable handle on a [`ProgressSink`] and an [`Interrupt`].
#[derive(Clone)]
pub struct Progress {
    sink: Arc<dyn ProgressSink>,
    interrupt: Interrupt,
}

impl Progress {
    /// Reports to `sink`, stops on `interrupt`.
    pub fn new(sink: Arc<dyn ProgressSink>, interrupt: Interrupt) -> Self {
        Self { sink, interrupt }
    }

    /// Reports nothing and is never cancelled; for tests and simple uses of the library.
    pub fn silent() -> Self {
        Self::new(Arc::new(Silent), Interrupt::new())
    }

    /// The same interrupt without a sink; for work inside of work that has a progress bar already.
    #[must_use]
    pub fn quiet(&self) -> Self {
        Self::new(Arc::new(Silent), self.interrupt.clone())
    }

    /// The cancellation flag.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Fails with `interrupted` when the user has cancelled.
    ///
    /// # Errors
    /// [`Error::is_interrupted`](crate::error::Error::is_interrupted) once the flag is set.
    pub fn check(&self) -> Result<()> {
        self.interrupt.check()
    }

    /// Opens a task of `total` units (`None`: unknown).
    ///
    /// ```
    /// use etude::progress::Progress;
    ///
    /// let progress = Progress::silent();
    /// let mut task = progress.task("reading", Some(2), "files");
    /// assert!(task.advance(1).is_ok());
    /// progress.interrupt().trigger();
    /// assert!(task.advance(1).is_err_and(|error| error.is_interrupted()));
    /// ```
    pub fn task(&self, title: impl Into<String>, total: Option<u64>, unit: &'static str) -> Task {
        let begun = Instant::now();
        let state = Snapshot {
            title: title.into(),
            unit,
            done: 0,
            total,
            note: String::new(),
            elapsed: Duration::ZERO,
            finished: false,
            stopped: false,
        };
        Task { progress: self.clone(), state, begun, shown: None }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("interrupt", &self.interrupt).finish_non_exhaustive()
    }
}

struct Silent;

impl ProgressSink for Silent {
    fn show(&self, _: &Snapshot) {}
}

/// A task that reports its progress; it ends when it is dropped.
#[derive(Debug)]
pub struct Task {
    progress: Progress,
    state: Snapshot,
    begun: Instant,
    shown: Option<Instant>,
}

/// A sink is called at most this often.
const SHOW_EVERY: Duration = Duration::from_millis(100);

impl Task {
    /// Counts `n` more units as done.
    ///
    /// # Errors
    /// `interrupted`, when the user cancels; the units are counted all the same.
    pub fn advance(&mut self, n: u64) -> Result<()> {
        self.state.done += n;
        self.show(false);
        self.progress.check()
    }

    /// Sets the note beside the bar: "loss 2.31".
    pub fn note(&mut self, note: impl Into<String>) {
        self.state.note = note.into();
    }

    fn show(&mut self, finished: bool) {
        let now = Instant::now();
        if !finished && self.shown.is_some_and(|at| now - at < SHOW_EVERY) {
            return;
        }
        self.shown = Some(now);
        self.state.elapsed = now - self.begun;
        self.state.finished = finished;
        self.state.stopped = self.progress.interrupt.is_set();
        self.progress.sink.show(&self.state);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.show(true);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Record(Mutex<Vec<Snapshot>>);

    impl ProgressSink for Record {
        fn show(&self, snapshot: &Snapshot) {
            self.0.lock().expect("no panic holds it").push(snapshot.clone());
        }
    }

    #[test]
    fn a_task_is_shown_first_and_last() {
        let record = Arc::new(Record::default());
        let progress = Progress::new(record.clone(), Interrupt::new());
        let mut task = progress.task("reading", Some(3), "files");
        for _ in 0..3 {
            task.advance(1).expect("nobody asked to stop");
        }
        drop(task);
        let seen = record.0.lock().expect("no panic holds it");
        assert_eq!(seen.first().map(|s| (s.done, s.finished)), Some((1, false)));
        assert_eq!(seen.last().map(|s| (s.done, s.finished)), Some((3, true)));
    }

    #[test]
    fn a_stop_reaches_the_loop() {
        let progress = Progress::silent();
        progress.interrupt().trigger();
        let mut task = progress.task("reading", None, "files");
        assert!(task.advance(1).is_err_and(|e| e.is_interrupted()));
    }
}
