//! The interpreter's thread, which creates it, runs cells one after another, and survives their panics.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::{Assistant, Bundle, Fault, Interpreter, Language};

/// Address space of the stack: deep recursion in a script must reach the language's own limit first.
const STACK: usize = 512 << 20;

/// A cell to run, and expressions to evaluate after it.
pub(crate) struct Job {
    pub(crate) cell: String,
    pub(crate) expressions: BTreeMap<String, String>,
    pub(crate) done: oneshot::Sender<Outcome>,
}

/// The result of a cell.
pub(crate) struct Outcome {
    pub(crate) value: Result<Option<Bundle>, Fault>,
    pub(crate) expressions: BTreeMap<String, Result<Bundle, Fault>>,
}

/// The assistant, as of the last cell.
pub(crate) type SharedAssistant = Arc<Mutex<Box<dyn Assistant>>>;

/// A handle to the thread.
pub(crate) struct Worker {
    pub(crate) jobs: mpsc::UnboundedSender<Job>,
    pub(crate) language: Language,
    pub(crate) assistant: SharedAssistant,
    /// The history file.
    pub(crate) history: Option<PathBuf>,
}

/// Starts the thread and waits until the interpreter is created.
pub(crate) async fn start<I: Interpreter>(make: impl FnOnce() -> Result<I, Fault> + Send + 'static) -> Result<Worker> {
    let (jobs, mut inbox) = mpsc::unbounded_channel::<Job>();
    let (ready, standing) = oneshot::channel();
    std::thread::Builder::new().name("interpreter".into()).stack_size(STACK).spawn(move || {
        let mut interpreter = match guarded(make) {
            Ok(interpreter) => interpreter,
            Err(fault) => return drop(ready.send(Err(fault))),
        };
        let assistant: SharedAssistant = Arc::new(Mutex::new(interpreter.assistant()));
        if ready.send(Ok((interpreter.language(), assistant.clone(), interpreter.history_file()))).is_err() {
            return;
        }
        while let Some(job) = inbox.blocking_recv() {
            let outcome = run(&mut interpreter, &job);
            if let Ok(fresh) = catch_unwind(AssertUnwindSafe(|| interpreter.assistant())) {
                *assistant.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
            }
            // The receiver is gone only at exit.
            let _ = job.done.send(outcome);
        }
    })?;
    let gone = || Fault::new("Panic", "its thread ended");
    let (language, assistant, history) = standing.await.unwrap_or_else(|_| Err(gone())).map_err(Error::Interpreter)?;
    Ok(Worker { jobs, language, assistant, history })
}

fn run<I: Interpreter>(interpreter: &mut I, job: &Job) -> Outcome {
    let value = guarded(|| interpreter.execute(&job.cell));
    let expressions = match value {
        Ok(_) => {
            job.expressions.iter().map(|(name, code)| (name.clone(), guarded(|| interpreter.evaluate(code)))).collect()
        }
        Err(_) => BTreeMap::new(),
    };
    Outcome { value, expressions }
}

/// Runs it; a panic becomes a fault.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Err(Fault::new("Panic", format!("{message} (this is a bug; variables are kept)")))
    })
}
