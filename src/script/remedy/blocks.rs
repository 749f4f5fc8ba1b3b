//! Hints for Python blocks opened by a colon: functions, conditions, loops.

use super::{Remedy, SourceLine, ours};

/// The hint for a line that opens a block.
pub(super) fn remedy(line: &SourceLine) -> Option<Remedy> {
    let first = line.word(0);
    if matches!(first, "def" | "function") && line.is_name(1) && line.word(2) == "(" {
        return function(line);
    }
    let colon = line.find(1, line.len(), ":");
    let body = |colon: usize| {
        let body = ours(line.part(colon + 1, line.len()).trim_end_matches(';'));
        if body.is_empty() || body == "pass" { "{ }".into() } else { format!("{{ {body} }}") }
    };
    let message = "a block is written in braces";
    match (first, colon) {
        ("if", Some(colon)) if line.word(1) == "__name__" => Remedy::new(
            "a script runs from its first line to its last",
            match ours(line.part(colon + 1, line.len())) {
                code if code.is_empty() => "help(\"fn\")".into(),
                code => code,
            },
        ),
        ("if" | "while", Some(colon)) => {
            Remedy::new(message, format!("{first} {} {}", ours(line.part(1, colon)), body(colon)))
        }
        ("for", Some(colon)) => {
            let within = line.find(1, colon, "in")?;
            let names = line.part(1, within);
            let names =
                if names.contains(',') && !names.starts_with('(') { format!("({names})") } else { names.into() };
            Remedy::new(message, format!("for {names} in {} {}", ours(line.part(within + 1, colon)), body(colon)))
        }
        ("elif", Some(colon)) => Remedy::new(
            "elif is else if",
            format!("if true {{ }} else if {} {}", ours(line.part(1, colon)), body(colon)),
        ),
        ("elif", None) => Remedy::new("elif is else if", "if true { } else if false { }"),
        ("else", Some(colon)) => Remedy::new(message, format!("if true {{ }} else {}", body(colon))),
        ("try" | "except" | "finally", Some(_)) => {
            Remedy::new("a mistake is caught with catch", "try { midi(\"no.mid\") } catch (e) { print(e.message) }")
        }
        ("with", Some(_)) => {
            let open = line.find(1, line.len(), "open").and_then(|at| line.arguments(at + 1));
            let path = open.as_ref().and_then(|arguments| arguments.first()).map(|path| ours(path));
            let writes = open.as_ref().and_then(|arguments| arguments.get(1)).is_some_and(|mode| mode.contains('w'));
            let code = match (path, writes) {
                (Some(path), true) => format!("write({path}, \"text\")"),
                (Some(path), false) => format!("let text = read({path})"),
                _ => "help(\"read\")".into(),
            };
            Remedy::new("files are read and written whole", code)
        }
        ("class", Some(_)) => {
            Remedy::new("there are no classes; a map holds values by name", "let thing = #{ name: \"a\" };")
        }
        _ => None,
    }
}

/// `def f(x: int, y=1) -> int: return x` becomes `fn f(x, y) { return x }`.
fn function(line: &SourceLine) -> Option<Remedy> {
    let close = line.close(2)?;
    let mut names = Vec::new();
    let mut i = 3;
    while i < close {
        let end = line.find(i, close, ",").unwrap_or(close);
        names.extend(line.is_name(i).then(|| line.word(i)));
        i = end + 1;
    }
    let begin = ["{", ":"].into_iter().find_map(|mark| line.find(close + 1, line.len(), mark));
    let body = begin.map_or(String::new(), |begin| ours(line.part(begin + 1, line.len()).trim_end_matches(['}', ' '])));
    let body = if body.is_empty() || body == "pass" { "{ }".into() } else { format!("{{ {body} }}") };
    Remedy::new("a function is written with fn and braces", format!("fn {}({}) {body}", line.word(1), names.join(", ")))
}
