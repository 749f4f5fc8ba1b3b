//! Our errors in scripts: thrown with a hint, caught as an object; `interrupted` cannot be caught.

use rhai::{Dynamic, EvalAltResult, Position};

use crate::error::Error;

/// The result of a script function.
pub(crate) type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// The value of `catch (e)`: `e.message`, `e.hint`; `${e}` is both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What went wrong.
    pub(crate) message: String,
    /// The remedy.
    pub(crate) hint: Option<String>,
    /// True for wrong arguments of a program.
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

/// Rhai's token for a cancelled evaluation.
pub(crate) const STOPPED: &str = "interrupted";

/// The error that ends an evaluation and cannot be caught.
pub(crate) fn stop() -> Box<EvalAltResult> {
    EvalAltResult::ErrorTerminated(STOPPED.into(), Position::NONE).into()
}

impl From<Error> for Box<EvalAltResult> {
    /// Rhai adds the position of the call; `interrupted` becomes the error that cannot be caught.
    fn from(error: Error) -> Self {
        if error.is_interrupted() {
            return stop();
        }
        let failure = Failure { message: error.message().into(), hint: error.hint().map(String::from), usage: false };
        EvalAltResult::ErrorRuntime(Dynamic::from(failure), Position::NONE).into()
    }
}

/// Throws an error of the caller.
pub(crate) fn mistake<T>(message: impl Into<String>) -> Fallible<T> {
    Err(Error::mistake(message).into())
}

/// The error for wrong arguments of a program.
pub(crate) fn usage(error: Error) -> Box<EvalAltResult> {
    let mut thrown: Box<EvalAltResult> = error.into();
    if let EvalAltResult::ErrorRuntime(value, _) = &mut *thrown
        && let Some(mut failure) = value.write_lock::<Failure>()
    {
        failure.usage = true;
    }
    thrown
}
