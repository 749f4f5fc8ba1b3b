//! Syntax errors in plain words.

use rhai::{LexError, ParseError, ParseErrorType};

use crate::script::scan::{LexemeKind, Open, scan};

/// The byte of an unclosed bracket that explains an error: the parser reached the end of the text, or a function inside
/// of a block.
pub(crate) fn open_bracket(text: &str, error: &ParseError) -> Option<(usize, &'static str)> {
    let scan = scan(text);
    if scan.open.iter().any(|open| !matches!(open, Open::Bracket(..) | Open::LineComment)) {
        return None;
    }
    let function = || {
        let line = error.position().line().and_then(|line| text.lines().nth(line - 1)).unwrap_or_default();
        line.chars()
            .skip(error.position().position().unwrap_or(1).saturating_sub(1))
            .collect::<String>()
            .starts_with("fn ")
    };
    let inside = match error.err_type() {
        ParseErrorType::WrongFnDefinition => true,
        ParseErrorType::MissingToken(token, _) => token == ";" && function(),
        _ => false,
    };
    if !inside && !matches!(error.err_type(), ParseErrorType::UnexpectedEOF) && !beyond(text, error.position()) {
        return None;
    }
    let mut open: Vec<(usize, &'static str)> = Vec::new();
    let mut suspect = None;
    for token in scan.code().filter(|t| t.kind == LexemeKind::Symbol) {
        match &text[token.start..token.end] {
            "(" => open.push((token.start, "(")),
            "[" => open.push((token.start, "[")),
            "{" => open.push((token.start, "{")),
            "#{" => open.push((token.start, "#{")),
            "${" => open.push((token.start, "${")),
            ")" | "]" | "}" => {
                let opener = open.pop()?;
                // A closing bracket that is less indented than the line of the bracket it would match belongs to an
                // earlier one.
                let begins = text[..token.start].trim_end_matches([' ', '\t']).ends_with('\n');
                if begins && indent(text, token.start) < indent(text, opener.0) {
                    suspect = suspect.or(Some(opener));
                }
            }
            _ => {}
        }
    }
    let last = open.pop()?;
    Some(suspect.unwrap_or(last))
}

/// The indentation of the line that contains a byte.
fn indent(text: &str, at: usize) -> usize {
    let begin = text[..at].rfind('\n').map_or(0, |i| i + 1);
    text[begin..].len() - text[begin..].trim_start_matches([' ', '\t']).len()
}

/// True when a position is after the last non-white character.
pub(crate) fn beyond(code: &str, place: rhai::Position) -> bool {
    let Some(line) = place.line() else { return true };
    let code = code.trim_end();
    let lines = code.lines().count();
    let last = code.lines().last().map_or(0, |l| l.chars().count());
    line > lines || (line == lines && place.position().unwrap_or(0) > last)
}

/// The message and the hint, if there is one.
pub(crate) fn words(error: &ParseErrorType) -> (String, Option<String>) {
    use ParseErrorType as E;
    let hint = |text: &str| Some(text.to_string());
    match error {
        E::UnexpectedEOF => ("the code ends too soon".into(), hint("a bracket, a string or an expression is open")),
        E::BadInput(error) => lexed(error),
        E::UnknownOperator(op) => (format!("'{op}' is not an operator"), None),
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
        E::AssignmentToConstant(name) if name.is_empty() => {
            ("a value cannot be assigned to".into(), hint("to compare, write == instead of ="))
        }
        E::AssignmentToConstant(name) => (format!("the constant '{name}' cannot be assigned to"), None),
        E::AssignmentToInvalidLHS(_) => (
            "this cannot be assigned to".into(),
            hint("to compare, write == instead of =; a part of an array is replaced by splice"),
        ),
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
        LexError::UnexpectedInput(text) if text.chars().all(|c| c.is_alphabetic() && !c.is_ascii()) => (
            format!("'{text}' cannot stand in a name"),
            Some("names are of the letters a to z, digits and _; texts may hold any letter".into()),
        ),
        LexError::UnexpectedInput(text) => (format!("'{text}' means nothing here"), None),
        LexError::MalformedEscapeSequence(text) => (
            format!("'{text}' is not an escape"),
            Some(r"there are \n, \t, \\, \', \x41, \u00e9; in backticks \ is a character as any other".into()),
        ),
        LexError::MalformedNumber(text) => (format!("'{text}' is not a number"), None),
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

/// Rhai's message in our style, with a small initial.
pub(crate) fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if !chars.as_str().starts_with(char::is_uppercase) => first.to_lowercase().chain(chars).collect(),
        _ => text.into(),
    }
}
