//! Our error as a script meets it: thrown with its hint, caught as an object, or not catchable when it is `interrupted`.

use rhai::{Dynamic, EvalAltResult, Position};

use crate::error::Error;

/// What a function of a script returns.
pub(crate) type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// What `catch (e)` holds: `e.message`, `e.hint`; `${e}` is both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What went wrong.
    pub(crate) message: String,
    /// The remedy.
    pub(crate) hint: Option<String>,
    /// True when a program was called with wrong arguments.
    pub(crate) usage: bool,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The token of an evaluation that was asked to stop.
pub(crate) const STOPPED: &str = "interrupted";

/// The error that ends an evaluation and that no script can catch.
pub(crate) fn stop() -> Box<EvalAltResult> {
    EvalAltResult::ErrorTerminated(STOPPED.into(), Position::NONE).into()
}

impl From<Error> for Box<EvalAltResult> {
    /// Rhai fills the position of the call in; `interrupted` becomes the error that `catch` cannot hold.
    fn from(error: Error) -> Self {
        if error.is_interrupted() {
            return stop();
        }
        let failure = Failure { message: error.message().into(), hint: error.hint().map(String::from), usage: false };
        EvalAltResult::ErrorRuntime(Dynamic::from(failure), Position::NONE).into()
    }
}

/// A mistake of the caller, thrown.
pub(crate) fn mistake<T>(message: impl Into<String>) -> Fallible<T> {
    Err(Error::mistake(message).into())
}

/// The mistake of someone who called a program with wrong arguments.
pub(crate) fn usage(error: Error) -> Box<EvalAltResult> {
    let mut thrown: Box<EvalAltResult> = error.into();
    if let EvalAltResult::ErrorRuntime(value, _) = &mut *thrown
        && let Some(mut failure) = value.write_lock::<Failure>()
    {
        failure.usage = true;
    }
    thrown
}
