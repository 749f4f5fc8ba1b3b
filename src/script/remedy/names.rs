//! Hints for Python names: variables, functions, methods.

use super::{Remedy, SourceLine, elsewhere, ours, statements};

/// The hint for an unknown variable at `column` (from 1, in characters) of a line.
pub(crate) fn word(name: &str, text: &str, column: usize) -> Option<Remedy> {
    let literal = |code: &str| Remedy::new(format!("'{name}' is written {code}"), code);
    match name {
        "True" => return literal("true"),
        "False" => return literal("false"),
        "None" | "null" | "nil" | "undefined" | "NULL" => return literal("()"),
        "pi" | "PI" => return literal("PI()"),
        "inf" | "Infinity" => return literal("1.0 / 0.0"),
        "nan" | "NaN" => return literal("0.0 / 0.0"),
        "self" => return literal("this"),
        _ => {}
    }
    let trimmed = text.trim();
    let line = SourceLine::new(trimmed);
    statements::of_line(&line)
        .or_else(|| elsewhere::command(&line))
        .or_else(|| elsewhere::printed(&line))
        .or_else(|| assignment(name, text, column))
}

/// `x = 5`, where there is no x.
fn assignment(name: &str, text: &str, column: usize) -> Option<Remedy> {
    let message = format!("there is no variable '{name}' yet: let makes it");
    if let Some(code) = several(name, text.trim()) {
        return Remedy::new(message, code);
    }
    let at = text.char_indices().nth(column.saturating_sub(1))?.0;
    let rest = text[at..].strip_prefix(name)?.trim_start();
    let made = rest.strip_prefix('=').filter(|rest| !rest.starts_with('=') && !rest.starts_with('>'));
    if let Some(value) = made {
        return Remedy::new(message, format!("let {name} = {}", ours(value.split(';').next().unwrap_or(value).trim())));
    }
    let ops = ["+=", "-=", "*=", "/=", "%="];
    if ops.iter().any(|op| rest.starts_with(op)) {
        return Remedy::new(message, format!("let {name} = 0"));
    }
    None
}

/// `a, b = 1, 2`
fn several(name: &str, text: &str) -> Option<String> {
    let (names, values) = text.split_once('=').filter(|(_, values)| !values.starts_with('='))?;
    let all: Vec<&str> = names.split(',').map(str::trim).collect();
    let simple = |word: &&str| word.chars().all(|c| c.is_alphanumeric() || c == '_') && !word.is_empty();
    if all.len() < 2 || !all.iter().all(simple) || !all.contains(&name) {
        return None;
    }
    let values = values.trim().trim_end_matches(';').trim();
    let line = SourceLine::new(values);
    let values = match line.find(0, line.len(), ",") {
        Some(_) => format!("[{}]", ours(values)),
        None => ours(values),
    };
    Some(format!("let ({}) = {values}", all.join(", ")))
}

/// The hint for an unknown function: the counterpart of Python's function.
pub(crate) fn call(name: &str, given: &[&str]) -> Option<Remedy> {
    let code = match name {
        "len" => "[1, 2].len",
        "println" | "printf" | "echo" | "puts" | "cout" | "fprintf" => "print(\"text\")",
        "open" => "exists(\"notes.txt\")",
        "type" => "type_of(1)",
        "isinstance" => "type_of(1) == \"int\"",
        "list" => "[1, 2]",
        "dict" => "#{ a: 1 }",
        "tuple" | "set" => "[1, 2].unique()",
        "bool" => "1 != 0",
        "repr" => "`${[1, 2]}`",
        "map" => "[1, 2].map(|x| x * 2)",
        "filter" => "[1, 2].filter(|x| x > 1)",
        "any" => "[1, 2].some(|x| x > 1)",
        "all" => "[1, 2].all(|x| x > 0)",
        "dir" | "globals" | "locals" => "vars()",
        "id" | "hash" => "1 == 1",
        "ord" => "'a'.to_int()",
        "chr" => "to_char(97)",
        "divmod" => "[7 / 2, 7 % 2]",
        "super" | "object" | "property" | "getattr" | "setattr" | "hasattr" | "iter" | "next" => "help(\"python\")",
        _ => return None,
    };
    let how = if given.is_empty() { "takes a value" } else { "is written otherwise here" };
    Remedy::new(format!("{name}() {how}"), code)
}

/// The hint for an unknown method: the counterpart of Python's method.
pub(crate) fn method(owner: &str, name: &str) -> Option<&'static str> {
    let found = match (owner, name) {
        ("array", "append" | "add") => "push(x)",
        ("array", "extend") => "append(other)",
        ("array", "index") => "index_of(x)",
        ("array", "copy") | ("map", "copy") => "let copy = x",
        ("array", "length" | "size") | ("string", "length" | "size") => "len",
        ("string", "upper") => "to_upper()",
        ("string", "lower") => "to_lower()",
        ("string", "strip" | "lstrip" | "rstrip") => "trim()",
        ("string", "startswith") => "starts_with(text)",
        ("string", "endswith") => "ends_with(text)",
        ("string", "find") => "index_of(text)",
        ("string", "splitlines") => "split(\"\\n\")",
        ("string", "format") => "`${x}` in backticks",
        ("string", "isdigit" | "isnumeric") => "parse_int(text)",
        ("map", "has_key") => "\"key\" in map",
        ("map", "update") => "mixin(other)",
        ("map", "pop") => "remove(key)",
        _ => return None,
    };
    Some(found)
}
