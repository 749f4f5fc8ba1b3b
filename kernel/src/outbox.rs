//! `Outbox`: the output of a cell on its way to the host, in order.

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
    /// A value shown; with an `id`, later updates replace it.
    Display {
        /// Its forms.
        bundle: Bundle,
        /// Its name for updates.
        id: Option<String>,
    },
    /// New forms for every display with this id.
    Update {
        /// The new forms.
        bundle: Bundle,
        /// The name it was displayed under.
        id: String,
    },
    /// A text for the front end's pager; a reader without one shows it in place.
    Page(Bundle),
    /// The user asks to leave: a console ends, a notebook may offer to.
    Leave,
    /// The cell's output so far goes away; with `wait`, when the next output comes.
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

/// The outputs that [`Outbox::recorder`] kept.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<Output>>>);

impl Recorder {
    /// Takes all outputs so far out of the recorder.
    pub fn take(&self) -> Vec<Output> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Output>> {
        // A panic while a cell spoke costs nothing here: the list is whole after every push.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
