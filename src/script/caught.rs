//! Converts Rhai's own errors in `catch (e)` to errors with message and hint, like ours.

use rhai::{Dynamic, EvalAltResult, Position, Scope};

use crate::script::context::{ScriptContext, Typed};
use crate::script::error_context::{ErrorContext, ErrorPlace};
use crate::script::failure::Failure;
use crate::script::parser;
use crate::script::sources::ScriptSources;

/// A parsed message of Rhai: the error, and its line and column.
struct RhaiMessage<'t> {
    what: &'t str,
    place: Position,
    /// It occurred in the text of an `eval`.
    evaluated: bool,
}

/// The caught value, with Rhai's map for its own errors converted to our error.
pub(crate) fn explained(ctx: &ScriptContext, value: Dynamic) -> Dynamic {
    let message = value.as_map_ref().ok().and_then(|map| {
        let rhais = map.contains_key("error");
        map.get("message").filter(|_| rhais).map(ToString::to_string)
    });
    let Some(message) = message else { return value };
    let parsed = read(&message);
    let Typed { text, places } = if parsed.evaluated { ctx.evaluated() } else { ctx.text() };
    let fault = if parsed.what.starts_with("Syntax error: ")
        && let Err(error) = parser::parse(&text)
    {
        ErrorContext::syntax_of(&error, &text)
    } else {
        let (scope, sources) = (Scope::new(), ScriptSources::default());
        let evaluated = Typed::default();
        let context =
            ErrorContext { catalog: ctx.catalog(), sources: &sources, scope: &scope, functions: Vec::new(), evaluated };
        let number = parsed.place.line().unwrap_or(0);
        let line = number.checked_sub(1).map_or("", |i| text.lines().nth(i).unwrap_or_default());
        let column = places.column(number, parsed.place.position().unwrap_or(1));
        context.words(rebuilt(parsed.what), ErrorPlace { line, column, outside: false })
    };
    Dynamic::from(Failure { message: fault.message, hint: fault.hint, usage: false })
}

/// Parses `Variable not found: x @ 'file' (line 1, position 1)` and the lines below it.
fn read(message: &str) -> RhaiMessage<'_> {
    let first = message.lines().next().unwrap_or_default();
    let evaluated = message.lines().nth(1).is_some_and(|line| line.starts_with("in call to function 'eval'"));
    let Some((what, place)) = first.rsplit_once(" (line ") else {
        return RhaiMessage { what: first, place: Position::NONE, evaluated };
    };
    let numbers: Vec<u16> = place.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    let place = match numbers[..] {
        [line, column] if line > 0 => Position::new(line, column),
        _ => Position::NONE,
    };
    let what = what.rsplit_once(" @ '").map_or(what, |(what, _)| what);
    RhaiMessage { what, place, evaluated }
}

/// The error that a message of Rhai describes, as far as its hint depends on it.
fn rebuilt(what: &str) -> EvalAltResult {
    let none = Position::NONE;
    let after = |start: &str| what.strip_prefix(start).map(str::to_string);
    if let Some(name) = after("Variable not found: ") {
        return EvalAltResult::ErrorVariableNotFound(name, none);
    }
    if let Some(signature) = after("Function not found: ") {
        return EvalAltResult::ErrorFunctionNotFound(signature, none);
    }
    if let Some(name) = after("Property not found: ") {
        return EvalAltResult::ErrorPropertyNotFound(name, none);
    }
    if what.starts_with("Unknown property") || what.starts_with("No writable property") {
        return EvalAltResult::ErrorDotExpr(what.into(), none);
    }
    if let Some(name) = after("Cannot modify constant ") {
        return EvalAltResult::ErrorAssignmentToConstant(name, none);
    }
    if let Some(name) = after("Module not found: ") {
        return EvalAltResult::ErrorModuleNotFound(name, none);
    }
    let numbers: Vec<i64> =
        what.split(|c: char| c != '-' && !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    if what.starts_with("Array index") || what.starts_with("String index") {
        let index = numbers.first().copied().unwrap_or(0);
        let size = numbers.get(1).map_or(0, |n| *n as usize);
        return match what.starts_with("Array") {
            true => EvalAltResult::ErrorArrayBounds(size, index, none),
            false => EvalAltResult::ErrorStringBounds(size, index, none),
        };
    }
    EvalAltResult::ErrorArithmetic(what.into(), none)
}
