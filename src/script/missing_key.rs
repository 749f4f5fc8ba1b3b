//! The error of a missing map key, with a suggestion of the likely one, and of a default.

use rhai::{Dynamic, Map};

use crate::error::nearest;
use crate::script::CellError;
use crate::script::error_context::{ErrorContext, ErrorPlace};

/// The keys of maps that our objects return, for code in which the map is unknown, such as functions.
pub(super) const OURS: [(&str, &[&str]); 5] = [
    ("a note has", &["pitch", "velocity", "start", "end", "track"]),
    ("a track has", &["name", "channel", "program", "notes"]),
    ("a step has", &["loss", "lr", "grad_norm", "tokens_per_second"]),
    ("an onset has", &["chord", "beat", "seconds"]),
    ("a token has", &["take", "id", "token"]),
];

/// The error of `map.name` or `map["name"]` without such a key.
pub(super) fn fault(context: &ErrorContext, name: &str, at: ErrorPlace) -> CellError {
    let object = object(at);
    let map = if object.starts_with(|c: char| c == '_' || c.is_alphabetic()) { object.as_str() } else { "map" };
    let ask = format!("write {map}.get(\"{name}\", 0), or {map}[\"{name}\"] ?? 0");
    let keys = match value(context, &object, at) {
        Some(map) => map.keys().map(ToString::to_string).collect(),
        None => written(&object),
    };
    let known: Vec<&str> = keys.iter().map(String::as_str).collect();
    let has = |near: &str, owner: &str, known: &[&str]| {
        format!("did you mean '{near}'? {owner} {}; where it may be missing, {ask}", known.join(", "))
    };
    let ours = || OURS.iter().find_map(|(owner, keys)| Some(has(nearest(name, keys)?, owner, keys)));
    let hint = match nearest(name, &known) {
        Some(near) => Some(has(near, "the map has", &known)),
        None if known.is_empty() => ours(),
        None => None,
    };
    let hint = hint.unwrap_or_else(|| format!("{ask}; \"{name}\" in {map} asks whether it is there"));
    CellError { hint: Some(hint), ..CellError::new("NameError", format!("the map has no entry '{name}'")) }
}

/// The source text of the map, from the position of the key: `a.b[0]` of `x + a.b[0].name`.
fn object(at: ErrorPlace) -> String {
    let chars: Vec<char> = at.line.chars().take(at.column.saturating_sub(1)).collect();
    let end = chars.iter().rposition(|c| !c.is_whitespace()).filter(|&i| matches!(chars[i], '.' | '['));
    let Some(end) = end else { return String::new() };
    let mut begin = end;
    while let Some(last) = begin.checked_sub(1) {
        let c = chars[last];
        begin = if matches!(c, ')' | ']' | '}') {
            let mut depth = 0;
            let open = (0..=last).rev().find(|&i| {
                depth +=
                    i32::from(matches!(chars[i], ')' | ']' | '}')) - i32::from(matches!(chars[i], '(' | '[' | '{'));
                depth == 0
            });
            match open {
                // A map literal.
                Some(open) if c == '}' => return chars[open..end].iter().collect(),
                Some(open) => open,
                None => break,
            }
        } else if c == '_' || c == '.' || c.is_alphanumeric() {
            last
        } else {
            break;
        };
    }
    chars[begin..end].iter().collect()
}

/// The value of the map, if it is a variable of the session or an entry of one; unknown inside of functions.
fn value(context: &ErrorContext, object: &str, at: ErrorPlace) -> Option<Map> {
    let mut path = object.split('.').map(str::trim).filter(|_| at.outside);
    let mut value: Dynamic = context.scope.get(path.next()?)?.flatten_clone();
    for name in path {
        let inner = value.as_map_ref().ok()?.get(name)?.clone();
        value = inner;
    }
    value.try_cast::<Map>()
}

/// The keys of a map literal.
fn written(object: &str) -> Vec<String> {
    let Some(inside) = object.strip_prefix('{').or_else(|| object.strip_prefix("#{")) else { return Vec::new() };
    let names =
        inside.split(',').filter_map(|entry| Some(entry.split_once(':')?.0.trim().trim_matches('"').to_string()));
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_found_before_the_entry() {
        let object = |line: &str, entry: &str| {
            let column = line.find(entry).map_or(0, |byte| line[..byte].chars().count() + 1);
            super::object(ErrorPlace { line, column, outside: true })
        };
        assert_eq!(object("let x = m.pitc", "pitc"), "m");
        assert_eq!(object("m[\"pitc\"]", "\"pitc\""), "m");
        assert_eq!(object("f(1) + a.b[0].c(x).pitc + 1", "pitc"), "a.b[0].c(x)");
        assert_eq!(object("#{ a: 1 }.pitc", "pitc"), "{ a: 1 }");
        assert_eq!(object("pitc", "pitc"), "");
    }
}
