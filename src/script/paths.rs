//! Completion inside of strings: names that a function accepts, and files.

use std::fs;

use crate::files::locate;
use crate::script::catalog::Catalog;
use crate::script::cursor::{Before, Completion, Completions};
use crate::script::scan::LexemeKind;
use crate::script::{guide, standard};
use crate::tokens::Tokenizer;
use crate::train::ScheduleKind;

/// The most files offered.
const MOST: usize = 200;

/// Completes the string that begins at byte `inside`.
pub(crate) fn complete(catalog: &Catalog, before: &Before, inside: usize) -> Completions {
    let typed = before.text.get(inside..).unwrap_or_default();
    let name = argument_of(before);
    let mut items: Vec<Completion> = names(catalog, name)
        .into_iter()
        .filter(|n| n.starts_with(typed))
        .map(|n| Completion { text: n, kind: "key", doc: String::new() })
        .collect();
    let start = typed.rfind('/').map_or(inside, |i| inside + i + 1);
    if takes_paths(name) && (items.is_empty() || typed.is_empty()) {
        let files = files(&typed[..start - inside], &typed[start - inside..]);
        items.extend(files.into_iter().map(|text| Completion { text, kind: "path", doc: String::new() }));
    }
    // Names replace the whole string and are not mixed with files in a folder.
    let start = if items.iter().any(|i| i.kind == "path") { start } else { inside };
    items.sort();
    Completions { start, items }
}

/// The function of which the string is an argument, or "".
fn argument_of<'t>(before: &Before<'t>) -> &'t str {
    let mut tokens = before.tokens.iter().enumerate().rev().skip_while(|(_, t)| t.kind == LexemeKind::Text);
    match tokens.next() {
        Some((i, _)) if before.token(i) == "(" && i > 0 => before.token(i - 1),
        _ => "",
    }
}

/// The names accepted by a function's first argument.
fn names(catalog: &Catalog, function: &str) -> Vec<String> {
    let list = |names: &[&str]| names.iter().map(|n| (*n).to_string()).collect();
    match function {
        "tokenizer" => list(&Tokenizer::SCHEMES),
        "load_model" => list(&["base"]),
        "quantize" => list(&["nf4"]),
        "schedule" => list(&ScheduleKind::NAMES),
        "device" => list(&["auto", "cpu", "cuda"]),
        "help" => topics(catalog),
        _ => Vec::new(),
    }
}

/// The topics of help, sorted.
pub(crate) fn topics(catalog: &Catalog) -> Vec<String> {
    let members = catalog.members.iter().filter(|m| m.name.starts_with(char::is_alphabetic));
    let mut names: Vec<String> = members
        .map(|m| m.owner.map_or_else(|| m.name.to_string(), |owner| format!("{owner}.{}", m.name)))
        .chain(catalog.types.iter().map(|t| t.0.to_string()))
        .chain(guide::names().map(String::from))
        .chain(standard::FUNCTIONS.map(String::from))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn takes_paths(function: &str) -> bool {
    !matches!(function, "help" | "quantize" | "schedule" | "device" | "chords" | "print")
}

/// The files in `folder` that begin with `begin`; folders end with `/`.
fn files(folder: &str, begin: &str) -> Vec<String> {
    let folder = if folder.is_empty() { "." } else { folder };
    let Ok(entries) = locate(folder).map(fs::read_dir) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            // A name that is not UTF-8 is found again by its lossy form.
            let name = entry.file_name().to_string_lossy().into_owned();
            let hidden = name.starts_with('.') && !begin.starts_with('.');
            let quoted = name.contains(['"', '\\']);
            if hidden || quoted || !name.starts_with(begin) {
                return None;
            }
            Some(if entry.path().is_dir() { name + "/" } else { name })
        })
        .collect();
    names.sort();
    names.truncate(MOST);
    names
}
