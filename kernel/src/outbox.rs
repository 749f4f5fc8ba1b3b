//! `Outbox`: sends the output of a cell to the host, in order.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Bundle;

/// One output of a running cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Text for standard output.
    Stdout(String),
    /// Text for standard error.
    Stderr(String),
    /// A displayed value; with an `id`, later updates replace it.
    Display {
        /// Its formats.
        bundle: Bundle,
        /// Its id for updates.
        id: Option<String>,
    },
    /// Replaces every display with this id.
    Update {
        /// The new formats.
        bundle: Bundle,
        /// The id.
        id: String,
    },
    /// A text for the front end's pager, or shown in place without one.
    Page(Bundle),
    /// A request to exit: a console ends, a notebook may offer to.
    Leave,
    /// Clears the cell's output so far; with `wait`, when the next output comes.
    Clear {
        /// Whether to wait for the next output.
        wait: bool,
    },
}

/// A clonable handle that sends [`Output`] to the host.
#[derive(Clone)]
pub struct Outbox(Arc<dyn Fn(Output) + Send + Sync>);

impl Outbox {
    /// An outbox that calls a function for each output.
    pub fn new(send: impl Fn(Output) + Send + Sync + 'static) -> Self {
        Self(Arc::new(send))
    }

    /// An outbox that records its outputs; for tests.
    ///
    /// ```
    /// use etude_kernel::{Outbox, Output};
    ///
    /// let (outbox, recorder) = Outbox::recorder();
    /// outbox.send(Output::Stdout("hello".into()));
    /// assert_eq!(recorder.take(), [Output::Stdout("hello".into())]);
    /// ```
    pub fn recorder() -> (Self, Recorder) {
        let recorder = Recorder::default();
        let inbox = recorder.clone();
        (Self::new(move |output| inbox.lock().push(output)), recorder)
    }

    /// Sends an output.
    pub fn send(&self, output: Output) {
        (self.0)(output);
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox")
    }
}

/// The recorded outputs of [`Outbox::recorder`].
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<Output>>>);

impl Recorder {
    /// Removes and returns all outputs so far.
    pub fn take(&self) -> Vec<Output> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Output>> {
        // After a panic elsewhere the list is still consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
