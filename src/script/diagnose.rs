//! Converts Rhai's errors to messages in plain words with place and hint.

use std::path::Path;

use rhai::{Dynamic, EvalAltResult, Position};

use crate::error::nearest;
use crate::script::CellError;
use crate::script::context::Typed;
use crate::script::error_context::{ErrorContext, ErrorPlace};
use crate::script::failure::Failure;
use crate::script::scan::place;
use crate::script::sources::ScriptSource;
use crate::script::{missing_key, modules, one_line, remedy, suggestions, syntax, type_names};

impl ErrorContext<'_> {
    /// The error of a failed evaluation.
    pub(crate) fn fault(&self, error: EvalAltResult) -> CellError {
        // From the outermost call to the error itself: the functions, and where they were called.
        let (mut calls, mut module) = (Vec::new(), None);
        let mut outer = error;
        let error = loop {
            outer = match outer {
                EvalAltResult::ErrorInFunctionCall(name, file, inner, position) => {
                    calls.push((name, position, file));
                    *inner
                }
                EvalAltResult::ErrorInModule(name, inner, _) => {
                    module = Some(name);
                    *inner
                }
                innermost => break innermost,
            };
        };
        let mut position = error.position();
        let mut inside = calls.len();
        while position.is_none() && inside > 0 {
            inside -= 1;
            position = calls[inside].1;
        }
        let home = inside.checked_sub(1).map(|i| (calls[i].0.as_str(), calls[i].2.as_str()));
        let source = match module {
            Some(file) => Some(modules::source(&file)),
            None => self.source(home),
        };
        let place = source.as_ref().and_then(|source| source.place(position));
        let line = place.map_or("", |(line, _)| source.as_ref().map_or("", |source| source.line(line)));
        let mut fault = self.words(
            error,
            ErrorPlace { line, column: place.map_or(0, |(_, column)| column), outside: calls.is_empty() },
        );
        if let (Some((number, column)), Some(source)) = (place, &source) {
            fault.place = Some((number, column, line.into()));
            fault.source.clone_from(&source.name);
        }
        let caller = |i: usize| i.checked_sub(1).map(|i| calls[i].0.as_str());
        let told = calls.iter().enumerate().rev().map(|(i, (name, at, _))| self.sources.call(name, caller(i), *at));
        fault.calls = folded(told);
        fault
    }

    /// The source of a function, whose file Rhai may know; the running text for `None`.
    fn source(&self, function: Option<(&str, &str)>) -> Option<ScriptSource> {
        match function {
            Some(("eval", _)) => {
                let Typed { text, places } = self.evaluated.clone();
                Some(ScriptSource { name: Some("eval".into()), text, places })
            }
            Some((name, file)) if !self.sources.defines(name) && Path::new(file).is_file() => {
                Some(modules::source(file))
            }
            Some((name, _)) => self.sources.of(Some(name)),
            None => self.sources.of(None),
        }
    }

    /// The error of code that does not parse.
    pub(crate) fn syntax(&self, error: &rhai::ParseError) -> CellError {
        let Some(source) = self.sources.of(None) else { return CellError::new("SyntaxError", error.to_string()) };
        let mut fault = Self::syntax_of(error, &source.text);
        fault.source = source.name;
        fault
    }

    /// The error of a text that does not parse, with its place.
    pub(crate) fn syntax_of(error: &rhai::ParseError, text: &str) -> CellError {
        let position = error.position();
        let line = position.line().map_or("", |line| text.lines().nth(line - 1).unwrap_or_default());
        let column = position.position().unwrap_or(1).max(1);
        let mut fault = CellError::new("SyntaxError", "");
        fault.place = position.line().map(|number| (number, column, line.into()));
        // An unclosed bracket explains all errors behind it.
        if let Some((at, bracket)) = syntax::open_bracket(text, error) {
            let (number, column) = place(text, at);
            fault.message = format!("'{bracket}' is never closed");
            fault.place = Some((number, column, text.lines().nth(number - 1).unwrap_or_default().into()));
            return fault;
        }
        if let Some(remedy) = remedy::line(line, column) {
            fault.hint = Some(remedy.hint());
            fault.message = remedy.message;
            return fault;
        }
        (fault.message, fault.hint) = syntax::words(error.err_type());
        fault
    }

    /// The message of an error, without its place.
    pub(crate) fn words(&self, error: EvalAltResult, at: ErrorPlace) -> CellError {
        use EvalAltResult as E;
        match error {
            E::ErrorRuntime(thrown, _) => self.thrown(&thrown),
            E::ErrorTerminated(..) => CellError { interrupted: true, ..CellError::new("Interrupted", "interrupted") },
            E::ErrorFunctionNotFound(signature, _) => suggestions::function(self, &signature, at),
            E::ErrorVariableNotFound(name, _) => self.variable(&name, at),
            E::ErrorPropertyNotFound(name, _) => missing_key::fault(self, &name, at),
            E::ErrorDotExpr(text, _) => suggestions::property(self, &text, at),
            E::ErrorParsing(error, _) => {
                let (message, hint) = syntax::words(&error);
                CellError { hint, ..CellError::new("SyntaxError", message) }
            }
            E::ErrorAssignmentToConstant(name, _) => self.constant(&name),
            E::ErrorNonPureMethodCallOnConstant(method, _) => {
                let method = method.trim_start_matches("set$").trim_start_matches("get$");
                let message = format!("'{method}' would change a value that cannot be changed here");
                let hint =
                    "constants and, inside functions, the variables of the session are read-only; copy them with let";
                CellError { hint: Some(hint.into()), ..CellError::new("TypeError", message) }
            }
            E::ErrorMismatchDataType(ref wanted, ref found, _) if wanted == "bool" => {
                let found = type_names::plain_type(found);
                match remedy::condition(found, at.line, at.column) {
                    Some(remedy) => remedied("TypeError", remedy),
                    None => plain(error),
                }
            }
            E::ErrorMismatchDataType(..) if at.line.trim_start().starts_with("import ") => {
                remedy::line(at.line, 1).map_or_else(|| plain(error), |remedy| remedied("TypeError", remedy))
            }
            E::ErrorFor(_) => {
                remedy::rounds(at.line).map_or_else(|| plain(error), |remedy| remedied("TypeError", remedy))
            }
            other => plain(other),
        }
    }

    fn thrown(&self, value: &Dynamic) -> CellError {
        if let Some(failure) = value.read_lock::<Failure>() {
            let usage = failure.usage;
            return CellError { hint: failure.hint.clone(), usage, ..CellError::new("Error", failure.message.clone()) };
        }
        if let Ok(text) = value.as_immutable_string_ref() {
            return CellError { usage: true, ..CellError::new("Error", text.as_str()) };
        }
        // Rhai's own errors after they were caught and thrown again.
        let message = value.as_map_ref().ok().and_then(|map| map.get("message").map(ToString::to_string));
        CellError::new("Error", message.unwrap_or_else(|| one_line::line(self.catalog, value)))
    }

    fn variable(&self, name: &str, at: ErrorPlace) -> CellError {
        let mut fault = CellError::new("NameError", format!("there is no variable '{name}'"));
        if let Some(remedy) = remedy::word(name, at.line, at.column) {
            fault.hint = Some(remedy.hint());
            fault.message = remedy.message;
            return fault;
        }
        if self.catalog.type_doc(name).is_some() {
            fault.message = format!("'{name}' is a type");
            fault.hint = Some(format!("write help(\"{name}\")"));
            return fault;
        }
        let mut known: Vec<&str> = self.scope.into_iter().map(|(name, ..)| name).collect();
        known.extend(self.functions.iter().map(|f| f.0.as_str()));
        known.extend(self.catalog.function_names());
        fault.hint = nearest(name, &known).map(|near| format!("did you mean '{near}'?"));
        fault
    }

    fn constant(&self, name: &str) -> CellError {
        if self.scope.is_constant(name) == Some(false) {
            let message = format!("a function cannot assign to '{name}': it reads the session's variables, no more");
            let hint = "return the new value and assign it where the function is called; a closure, |x| …, can assign";
            return CellError { hint: Some(hint.into()), ..CellError::new("TypeError", message) };
        }
        CellError::new("TypeError", format!("'{name}' is a constant and cannot be assigned to"))
    }
}

/// The error that a remedy explains.
fn remedied(kind: &str, remedy: remedy::Remedy) -> CellError {
    CellError { hint: Some(remedy.hint()), ..CellError::new(kind, remedy.message) }
}

/// Merges repeated calls with the same text.
fn folded(calls: impl Iterator<Item = String>) -> Vec<String> {
    let mut told: Vec<(String, usize)> = Vec::new();
    for call in calls {
        match told.last_mut() {
            Some((last, times)) if *last == call => *times += 1,
            _ => told.push((call, 1)),
        }
    }
    told.into_iter().map(|(call, times)| if times > 1 { format!("{call} ({times} times)") } else { call }).collect()
}

/// Errors whose message needs no context.
fn plain(error: EvalAltResult) -> CellError {
    use EvalAltResult as E;
    let kind = type_names::plain_type;
    let fault = |name: &str, message: String| CellError::new(name, message);
    let hinted = |name: &str, message: String, hint: &str| CellError {
        hint: Some(hint.into()),
        ..CellError::new(name, message)
    };
    let holds = |n: usize, what: &str| format!("it has {n} {what}{}", if n == 1 { "" } else { "s" });
    match error {
        E::ErrorIndexingType(text, _) => {
            let (object, index) = text.split_once(" [").unwrap_or((&text, ""));
            let index = index.split(']').next().unwrap_or("");
            fault("TypeError", format!("{} cannot be indexed with {}", kind(object), kind(index)))
        }
        E::ErrorMismatchDataType(wanted, found, _) | E::ErrorMismatchOutputType(wanted, found, _) => {
            fault("TypeError", format!("{} is needed here, not {}", kind(&wanted), kind(&found)))
        }
        E::ErrorArrayBounds(len, index, _) => {
            fault("IndexError", format!("the array has no item {index}: {}", holds(len, "item")))
        }
        E::ErrorStringBounds(len, index, _) => {
            fault("IndexError", format!("the string has no character {index}: {}", holds(len, "character")))
        }
        E::ErrorIndexNotFound(index, _) => fault("IndexError", format!("there is no entry {index}")),
        E::ErrorFor(_) => hinted(
            "TypeError",
            "for cannot go through this: arrays, ranges, strings, maps and batches it can".into(),
            "write for i in 0..10 { print(i) }",
        ),
        E::ErrorStackOverflow(_) => hinted(
            "Error",
            "functions called each other more than 200 levels deep".into(),
            "does a function call itself without end?",
        ),
        E::ErrorModuleNotFound(path, _) => hinted(
            "Error",
            format!("there is no module '{path}'"),
            "import \"name\" reads name.rhai beside the script, or in the working folder",
        ),
        E::ErrorDataRace(name, _) => hinted(
            "Error",
            format!("{} is used twice in one call", if name.is_empty() { "a value" } else { &name }),
            "write let copy = x, and use the copy inside the function",
        ),
        E::ErrorArithmetic(text, _) => fault("ArithmeticError", syntax::lower(&text)),
        E::ErrorUnboundThis(_) => fault("NameError", "there is no 'this': call the function as a method".into()),
        E::ErrorDataTooLarge(what, _) => fault("Error", format!("{} is too large", kind(&what))),
        mut other => {
            other.set_position(Position::NONE);
            fault("Error", syntax::lower(&other.to_string()))
        }
    }
}
