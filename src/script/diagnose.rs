//! What Rhai says went wrong, in plain words, with the place and the remedy.

use rhai::{Dynamic, EvalAltResult, Position, Scope};

use crate::error::nearest;
use crate::script::Fault;
use crate::script::catalog::Catalog;
use crate::script::failure::Failure;
use crate::script::missing;
use crate::script::show;
use crate::script::sources::{Source, Sources};
use crate::script::syntax;

/// What a diagnosis may look at.
pub(crate) struct Scene<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) sources: &'a Sources,
    pub(crate) scope: &'a Scope<'static>,
    /// Functions that scripts defined: name and number of parameters.
    pub(crate) functions: Vec<(String, usize)>,
}

impl Scene<'_> {
    /// The fault of a failed evaluation.
    pub(crate) fn fault(&self, error: EvalAltResult) -> Fault {
        // From the outermost call to the error itself: which function, and where it was called.
        let (mut calls, mut module) = (Vec::new(), None);
        let mut outer = error;
        let error = loop {
            outer = match outer {
                EvalAltResult::ErrorInFunctionCall(name, _, inner, position) => {
                    calls.push((name, position));
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
        let mut fault = self.words(error);
        let mut inside = calls.len();
        while position.is_none() && inside > 0 {
            inside -= 1;
            position = calls[inside].1;
        }
        let home = (inside > 0).then(|| calls[inside - 1].0.as_str());
        match module {
            Some(file) => {
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                self.set_place(&mut fault, Some(Source { name: Some(file), text: text.into() }), position);
            }
            None => self.set_place(&mut fault, self.sources.of(home), position),
        }
        fault.calls = calls.iter().rev().map(|(name, _)| self.sources.call(name)).collect();
        fault
    }

    /// The fault of a text that cannot be parsed.
    pub(crate) fn syntax(&self, error: &rhai::ParseError) -> Fault {
        let (message, hint) = syntax::words(error.err_type());
        let mut fault = Fault { hint, ..Fault::new("SyntaxError", message) };
        self.set_place(&mut fault, self.sources.of(None), error.position());
        fault
    }

    fn set_place(&self, fault: &mut Fault, source: Option<Source>, position: Position) {
        let (Some(source), Some(line)) = (source, position.line()) else { return };
        let text = source.text.lines().nth(line - 1).unwrap_or_default().to_string();
        fault.place = Some((line, position.position().unwrap_or(1).max(1), text));
        fault.source = source.name;
    }

    fn words(&self, error: EvalAltResult) -> Fault {
        use EvalAltResult as E;
        match error {
            E::ErrorRuntime(thrown, _) => self.thrown(&thrown),
            E::ErrorTerminated(..) => Fault { interrupted: true, ..Fault::new("Interrupted", "interrupted") },
            E::ErrorFunctionNotFound(signature, _) => missing::function(self, &signature),
            E::ErrorVariableNotFound(name, _) => self.variable(&name),
            E::ErrorDotExpr(text, _) => missing::property(self, &text),
            E::ErrorParsing(error, _) => {
                let (message, hint) = syntax::words(&error);
                Fault { hint, ..Fault::new("SyntaxError", message) }
            }
            E::ErrorAssignmentToConstant(name, _) => self.constant(&name),
            E::ErrorNonPureMethodCallOnConstant(method, _) => {
                let method = method.trim_start_matches("set$").trim_start_matches("get$");
                let message = format!("'{method}' would change a value that cannot be changed here");
                let hint =
                    "constants and, inside functions, the variables of the session are read-only; copy them with let";
                Fault { hint: Some(hint.into()), ..Fault::new("TypeError", message) }
            }
            other => plain(other),
        }
    }

    fn thrown(&self, value: &Dynamic) -> Fault {
        if let Some(failure) = value.read_lock::<Failure>() {
            return Fault { hint: failure.hint.clone(), ..Fault::new("Error", failure.message.clone()) };
        }
        if let Ok(text) = value.as_immutable_string_ref() {
            return Fault::new("Error", text.as_str());
        }
        // What Rhai's own errors look like once they were caught and thrown again.
        let message = value.as_map_ref().ok().and_then(|map| map.get("message").map(ToString::to_string));
        Fault::new("Error", message.unwrap_or_else(|| show::line(self.catalog, value)))
    }

    fn variable(&self, name: &str) -> Fault {
        let mut fault = Fault::new("NameError", format!("there is no variable '{name}'"));
        if let Some(function) = self.catalog.functions(name).next() {
            fault.message = format!("'{name}' is a function");
            fault.hint = Some(format!("call it: {}", function.signature()));
            return fault;
        }
        let mut known: Vec<&str> = self.scope.into_iter().map(|(name, ..)| name).collect();
        known.extend(self.functions.iter().map(|f| f.0.as_str()));
        known.extend(self.catalog.function_names());
        fault.hint = nearest(name, &known).map(|near| format!("did you mean '{near}'?"));
        fault
    }

    fn constant(&self, name: &str) -> Fault {
        if self.scope.is_constant(name) == Some(false) {
            let message = format!("a function cannot assign to '{name}': it reads the session's variables, no more");
            let hint = "return the new value and assign it where the function is called; a closure, |x| …, can assign";
            return Fault { hint: Some(hint.into()), ..Fault::new("TypeError", message) };
        }
        Fault::new("TypeError", format!("'{name}' is a constant and cannot be assigned to"))
    }
}

/// The errors whose words need nothing but themselves.
fn plain(error: EvalAltResult) -> Fault {
    use EvalAltResult as E;
    let kind = show::plain_type;
    let fault = |name: &str, message: String| Fault::new(name, message);
    let hinted =
        |name: &str, message: String, hint: &str| Fault { hint: Some(hint.into()), ..Fault::new(name, message) };
    let holds = |n: usize, what: &str| format!("it has {n} {what}{}", if n == 1 { "" } else { "s" });
    match error {
        E::ErrorPropertyNotFound(name, _) => hinted(
            "NameError",
            format!("the map has no entry '{name}'"),
            &format!("\"{name}\" in map asks for it, map.{name} = value makes it"),
        ),
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
        E::ErrorFor(_) => {
            fault("TypeError", "for cannot go through this: arrays, ranges, strings, maps and batches it can".into())
        }
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
            "give it another name with let first",
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
