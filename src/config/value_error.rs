//! The errors of the deserialiser, kept as data until the message is written.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::foreign;
use crate::error::Error;

/// An error at a place in a map.
#[derive(Debug)]
pub(super) struct ValueError {
    /// The steps to the place, the last first.
    path: Vec<KeyStep>,
    problem: Problem,
}

#[derive(Debug)]
enum KeyStep {
    Key(String),
    Index(usize),
}

#[derive(Debug)]
enum Problem {
    UnknownKey { name: String, known: &'static [&'static str] },
    UnknownValue { name: String, known: &'static [&'static str] },
    Missing(&'static str),
    Wrong { wanted: String, got: String },
    Other(String),
}

impl ValueError {
    /// A list of the wrong length.
    pub(super) fn length(wanted: usize, got: usize) -> Self {
        Problem::Wrong { wanted: format!("an array of {wanted}"), got: format!("one of {got}") }.into()
    }

    /// The same error, in a map under this key.
    pub(super) fn under(mut self, key: String) -> Self {
        self.path.push(KeyStep::Key(key));
        self
    }

    /// The same error, in an array at this index.
    pub(super) fn at(mut self, index: usize) -> Self {
        self.path.push(KeyStep::Index(index));
        self
    }

    /// The error for the user; `what` names the thing whose options these are.
    pub(super) fn explain(self, what: &str) -> Error {
        let path = self.path();
        let place = if path.is_empty() { what.to_string() } else { format!("{what}.{path}") };
        match self.problem {
            Problem::UnknownKey { name, known } => {
                let error = Error::unknown(&format!("option of {place}"), &name, known);
                // For the options of a training, hints about other trainers' names are given.
                let ours = ["lr", "lora_alpha", "max_seq_len"].iter().any(|key| known.contains(key));
                match foreign::answer(&name, false).filter(|_| ours) {
                    Some(answer) => error.with_hint(answer),
                    None => error,
                }
            }
            Problem::UnknownValue { name, known } => Error::unknown(&format!("value of {place}"), &name, known),
            Problem::Missing(name) => Error::mistake(format!("{place} needs the option '{name}'")),
            Problem::Wrong { got, .. } if path.is_empty() => {
                Error::mistake(format!("the options of {what} are a map, not {got}"))
            }
            Problem::Wrong { wanted, got } => Error::mistake(format!("{path} of {what} must be {wanted}, not {got}")),
            Problem::Other(message) => Error::mistake(format!("{place}: {message}")),
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.path.iter().rev() {
            match step {
                KeyStep::Key(key) if path.is_empty() => path.push_str(key),
                KeyStep::Key(key) => path.extend([".", key]),
                KeyStep::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

impl From<Problem> for ValueError {
    fn from(problem: Problem) -> Self {
        Self { path: Vec::new(), problem }
    }
}

impl de::Error for ValueError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Problem::Other(message.to_string()).into()
    }

    fn invalid_type(got: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Problem::Wrong { wanted: plain(&wanted.to_string(), false), got: shown(got) }.into()
    }

    fn invalid_value(got: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let too_large = matches!(got, Unexpected::Unsigned(_));
        Problem::Wrong { wanted: plain(&wanted.to_string(), too_large), got: shown(got) }.into()
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Problem::UnknownValue { name: name.into(), known }.into()
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Problem::UnknownKey { name: name.into(), known }.into()
    }

    fn missing_field(name: &'static str) -> Self {
        Problem::Missing(name).into()
    }
}

impl std::error::Error for ValueError {}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path(), self.problem)
    }
}

/// Serde's names of types in plain words.
fn plain(wanted: &str, too_large: bool) -> String {
    let words = match wanted {
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "i128" | "isize"
            if too_large =>
        {
            "a whole number that fits"
        }
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" | "path string" | "variant identifier" => "a text",
        "a sequence" => "an array",
        _ if wanted.starts_with("struct ") || wanted == "a map" => "a map",
        _ => match wanted.strip_prefix("a tuple of size ") {
            Some(size) => return format!("an array of {size}"),
            None => wanted,
        },
    };
    words.into()
}

/// A value in an error message: texts quoted and shortened.
fn shown(got: Unexpected<'_>) -> String {
    const LONGEST: usize = 60;
    match got {
        Unexpected::Bool(b) => b.to_string(),
        Unexpected::Unsigned(n) => n.to_string(),
        Unexpected::Signed(n) => n.to_string(),
        Unexpected::Float(x) => format!("{x:?}"),
        Unexpected::Str(text) if text.chars().count() > LONGEST => {
            format!("{:?}…", text.chars().take(LONGEST).collect::<String>())
        }
        Unexpected::Str(text) => format!("{text:?}"),
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        Unexpected::Seq => "an array".into(),
        Unexpected::Map => "a map".into(),
        other => other.to_string(),
    }
}
