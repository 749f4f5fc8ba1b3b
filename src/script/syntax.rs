//! What the parser refuses, in plain words.

use rhai::{LexError, ParseErrorType};

/// The message and, where there is one, the remedy.
pub(crate) fn words(error: &ParseErrorType) -> (String, Option<String>) {
    use ParseErrorType as E;
    let hint = |text: &str| Some(text.to_string());
    match error {
        E::UnexpectedEOF => ("the code ends too soon".into(), hint("a bracket, a string or an expression is open")),
        E::BadInput(error) => lexed(error),
        E::UnknownOperator(op) => (format!("'{op}' is no operator"), None),
        E::MissingToken(token, what) => missing(token, what),
        E::MissingSymbol(what) if what.is_empty() => ("a symbol is missing here".into(), None),
        E::MissingSymbol(what) => (format!("a symbol is missing: {what}"), None),
        E::PropertyExpected => ("the name of a property must follow the dot".into(), None),
        E::VariableExpected => ("the name of a variable must stand here".into(), None),
        E::Reserved(word) | E::ForbiddenVariable(word) => {
            (format!("'{word}' is a word of the language and cannot be a name"), hint("choose another name"))
        }
        E::ExprExpected(what) if what.is_empty() => ("an expression is missing here".into(), None),
        E::ExprExpected(what) => (format!("an expression is missing here ({what})"), None),
        E::MismatchedType(wanted, found) => (format!("{wanted} must stand here, not {found}"), None),
        E::DuplicatedProperty(name) => (format!("the map has two entries named '{name}'"), None),
        E::FnMissingName => ("a function needs a name behind 'fn'".into(), None),
        E::FnMissingParams(name) => (format!("function {name} needs parentheses: fn {name}()"), None),
        E::FnMissingBody(name) => (format!("function {name} needs a body in braces"), None),
        E::FnDuplicatedParam(name, param) => (format!("function {name} has two parameters named '{param}'"), None),
        E::FnDuplicatedDefinition(name, count) => {
            (format!("function {name} with {count} parameters is defined twice here"), None)
        }
        E::WrongFnDefinition => (
            "a function cannot be defined inside another or in a block".into(),
            hint("a closure can: let f = |x| x + 1;"),
        ),
        E::AssignmentToConstant(name) => (format!("the constant '{name}' cannot be assigned to"), None),
        E::AssignmentToInvalidLHS(_) => {
            ("this cannot be assigned to".into(), hint("to compare, write == instead of ="))
        }
        E::WrongDocComment => {
            ("a /// comment must stand before a function".into(), hint("write // for other comments"))
        }
        E::LoopBreak => ("break and continue belong in a loop".into(), None),
        E::ExprTooDeep => ("this is nested too deeply".into(), hint("give parts of it a name with let")),
        other => (lower(&other.to_string()), None),
    }
}

fn lexed(error: &LexError) -> (String, Option<String>) {
    match error {
        LexError::UnterminatedString => {
            ("a string has no end".into(), Some("strings over lines stand in backticks".into()))
        }
        LexError::UnexpectedInput(text) => (format!("'{text}' means nothing here"), None),
        LexError::MalformedEscapeSequence(text) => {
            (format!("'{text}' is no escape"), Some(r"there are \n, \t, \\, \', \x41, \u00e9".into()))
        }
        LexError::MalformedNumber(text) => (format!("'{text}' is no number"), None),
        LexError::MalformedChar(text) => {
            (format!("'{text}' is not one character"), Some("strings stand in double quotes".into()))
        }
        LexError::MalformedIdentifier(text) => (format!("'{text}' cannot be a name"), None),
        LexError::ImproperSymbol(symbol, what) if what.is_empty() => (format!("'{symbol}' means nothing here"), None),
        LexError::ImproperSymbol(_, what) => (lower(what), None),
        other => (lower(&other.to_string()), None),
    }
}

fn missing(token: &str, what: &str) -> (String, Option<String>) {
    let hint = (token == ";").then(|| "two statements stand on this line, or an operator is missing".to_string());
    (format!("'{token}' is missing {what}"), hint)
}

/// Rhai's sentence in our style: it begins small.
pub(crate) fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if !chars.as_str().starts_with(char::is_uppercase) => first.to_lowercase().chain(chars).collect(),
        _ => text.into(),
    }
}
