//! The error type of the library: what went wrong, where, and what to do about it.
//!
//! It is opaque: callers ask it questions ([`Error::is_interrupted`], [`Error::is_mistake`]) and print it. The message
//! names the place and the value; the hint, printed on a line of its own, says how to fix it.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

/// The result type of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: a message, and a hint that says how to fix it.
#[derive(thiserror::Error)]
#[error("{0}")]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorClass,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorClass {
    Mistake,
    SkippedFile,
    Io,
    Interrupted,
    Internal,
}

impl Error {
    /// An invalid argument of the caller: a bad value, an unknown name.
    pub fn mistake(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Mistake, message)
    }

    /// A file or a byte string is malformed.
    pub fn broken(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::SkippedFile, message)
    }

    /// The file system refused: `doing` is a verb phrase ("cannot read"), the path follows it. Where the kind of I/O
    /// error has a known fix, that is the hint.
    pub fn io(doing: &str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        let path = path.as_ref().display();
        let reason = source.to_string();
        // The standard library appends the name of a temporary file, which means nothing to the user.
        let reason = reason.split(" at path \"").next().unwrap_or(&reason);
        let mut error = Self::new(ErrorClass::Io, format!("{doing} {path}: {reason}"));
        error.0.hint = remedy(source.kind()).map(String::from);
        error.0.source = Some(Box::new(source));
        error
    }

    /// The user cancelled; nothing is wrong.
    pub fn interrupted() -> Self {
        Self::new(ErrorClass::Interrupted, "interrupted")
    }

    /// A library below failed in a way that no input should cause.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        let mut error = Self::new(ErrorClass::Internal, source.to_string());
        error.0.source = Some(source);
        error
    }

    /// An unknown name, with the nearest of `known` offered: `what` is the kind of thing ("tokenizer", "option").
    ///
    /// ```
    /// let error = etude::Error::unknown("option", "top_q", &["top_k", "top_p"]);
    /// assert!(error.is_mistake() && error.to_string().contains("top_q"));
    /// ```
    pub fn unknown(what: &str, name: &str, known: &[&str]) -> Self {
        let error = Self::mistake(format!("no {what} is called '{name}'"));
        match nearest(name, known) {
            Some(near) => error.with_hint(format!("did you mean '{near}'? (there are: {})", known.join(", "))),
            None => error.with_hint(format!("there are: {}", known.join(", "))),
        }
    }

    /// Adds the hint: what to do about it.
    ///
    /// ```
    /// let error = etude::Error::mistake("val is 2").with_hint("it is a share");
    /// assert_eq!((error.message(), error.hint()), ("val is 2", Some("it is a share")));
    /// ```
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Puts the current operation in front of the message: `while reading layer 3: …`.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.0.message = format!("{doing}: {}", self.0.message);
        self
    }

    /// Replaces a path in message and hint: an error about a temporary file names the file it was to become.
    #[must_use]
    pub(crate) fn with_path(mut self, written: &Path, called: &Path) -> Self {
        let (written, called) = (written.display().to_string(), called.display().to_string());
        self.0.message = self.0.message.replace(&written, &called);
        self.0.hint = self.0.hint.map(|hint| hint.replace(&written, &called));
        self
    }

    /// True when the user cancelled.
    pub fn is_interrupted(&self) -> bool {
        self.0.kind == ErrorClass::Interrupted
    }

    /// True when other input would have worked.
    pub fn is_mistake(&self) -> bool {
        matches!(self.0.kind, ErrorClass::Mistake | ErrorClass::SkippedFile | ErrorClass::Io)
    }

    /// The remedy, if one is known.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// What went wrong, without the hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    fn new(kind: ErrorClass, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), hint: None, source: None }))
    }
}

/// The hint for a kind of I/O error.
fn remedy(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Some("make room there, or name another folder")
        }
        ErrorKind::ReadOnlyFilesystem => Some("nothing can be written there: name another folder"),
        ErrorKind::PermissionDenied => Some("look at its owner and rights, or name another"),
        _ => None,
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The member of `known` that `name` was probably meant to be: a third of its letters may be wrong, and not all.
///
/// ```
/// assert_eq!(etude::error::nearest("temprature", &["temperature", "top_p"]), Some("temperature"));
/// ```
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|&k| (strsim::damerau_levenshtein(name, k), k))
        .min()
        .filter(|(distance, k)| {
            let (name, k) = (name.chars().count(), k.chars().count());
            *distance <= (k.max(name) / 3).max(1) && *distance < k.min(name)
        })
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered() {
        let error = Error::unknown("tokenizer", "rami", &["performance", "remi", "tsd"]);
        assert_eq!(error.message(), "no tokenizer is called 'rami'");
        assert!(error.hint().is_some_and(|h| h.starts_with("did you mean 'remi'?")), "{error}");
        assert_eq!(nearest("zzzzzz", &["remi"]), None);
        // Short names that share a letter were not meant.
        for (name, other) in [("x", "mix"), ("x", "m"), ("foo", "pow"), ("arr", "args"), ("elif", "exit")] {
            assert_eq!(nearest(name, &[other]), None, "{name}");
        }
        for (name, other) in [("mdi", "midi"), ("lenn", "len"), ("ltr", "lr"), ("temprature", "temperature")] {
            assert_eq!(nearest(name, &[other]), Some(other));
        }
    }

    #[test]
    fn a_file_system_that_refuses_says_the_remedy() {
        let error = |kind: ErrorKind| Error::io("cannot write", "a/b", kind.into());
        assert!(error(ErrorKind::StorageFull).hint().is_some_and(|hint| hint.contains("make room")));
        assert!(error(ErrorKind::ReadOnlyFilesystem).hint().is_some_and(|hint| hint.contains("another folder")));
        assert_eq!(error(ErrorKind::NotFound).hint(), None);
    }

    #[test]
    fn an_interrupt_is_no_mistake() {
        assert!(Error::interrupted().is_interrupted());
        assert!(!Error::interrupted().is_mistake());
    }
}
