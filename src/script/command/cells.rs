//! `:save`: writes the cells of a session as one script.
//!
//! Cells must be edited to be statements of a script: the final `;` may be missing, a function may be defined twice,
//! and `_` means the value of an earlier cell, which a script does not have.

use std::collections::HashSet;

use crate::script::scan::{Lexeme, LexemeKind, Scan, scan};

/// The first words of a script written by `:save`; a file that begins so may be written over.
pub(super) const HEADER: &str = "// Saved from a session of Étude.";

/// All cells as one script, in order; `whole` tells whether a text is complete.
pub(super) fn script(cells: &[String], whole: impl Fn(&str) -> bool) -> String {
    let mut cells: Vec<String> = cells.to_vec();
    name_last_values(&mut cells, &whole);
    let mut text = HEADER.to_owned();
    for cell in without_old_functions(&cells) {
        text.push_str("\n\n");
        text.push_str(&ended(cell.trim(), &whole));
    }
    text.push('\n');
    text
}

/// The cell with a `;` appended, if a following statement needs it.
fn ended(cell: &str, whole: &impl Fn(&str) -> bool) -> String {
    let takes_another = |text: &str| whole(&format!("{text}\n1"));
    let with = format!("{cell};");
    match () {
        () if takes_another(cell) => cell.to_owned(),
        () if takes_another(&with) => with,
        // A comment at the end would hide the `;`.
        () => format!("{cell}\n;"),
    }
}

/// Replaces `_` by a variable `last_1`, … assigned in the cell whose value it is.
fn name_last_values(cells: &mut [String], whole: &impl Fn(&str) -> bool) {
    let valued = |cell: &String| {
        let start = final_expression(cell)?;
        let mut value = cell[start..].to_owned();
        for mark in marks(&value) {
            value.replace_range(mark..mark + 1, "x");
        }
        whole(&format!("let x = {value}")).then_some(start)
    };
    let values: Vec<Option<usize>> = cells.iter().map(valued).collect();
    let marks: Vec<Vec<usize>> = cells.iter().map(|cell| marks(cell)).collect();
    let source = |i: usize| (0..i).rev().find(|before| values[*before].is_some());
    let named: HashSet<usize> = (0..cells.len()).filter(|i| !marks[*i].is_empty()).filter_map(source).collect();
    for (i, cell) in cells.iter_mut().enumerate() {
        let name = source(i).map(|before| format!("last_{}", before + 1));
        let mut edits: Vec<(std::ops::Range<usize>, String)> =
            name.map_or_else(Vec::new, |name| marks[i].iter().map(|at| (*at..at + 1, name.clone())).collect());
        if let (true, Some(start)) = (named.contains(&i), values[i]) {
            edits.push((start..start, format!("let last_{} = ", i + 1)));
        }
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        for (range, text) in edits.into_iter().rev() {
            cell.replace_range(range, &text);
        }
    }
}

/// The byte offsets of `_` in the sense of the last value.
fn marks(cell: &str) -> Vec<usize> {
    let scan = scan(cell);
    let code: Vec<&Lexeme> = scan.code().collect();
    let follows = |i: usize| code.get(i + 1).map(|t| word(cell, t));
    let is_mark = |(i, t): &(usize, &&Lexeme)| word(cell, t) == "_" && !matches!(follows(*i), Some("=>" | "if"));
    code.iter().enumerate().filter(is_mark).map(|(_, t)| t.start).collect()
}

/// Keywords and functions with which statements without a value begin.
const NO_VALUE: [&str; 18] = [
    "let", "const", "fn", "private", "for", "while", "loop", "do", "import", "export", "return", "break", "continue",
    "throw", "try", "print", "display", "debug",
];

/// The byte at which the last expression of a cell begins, if it ends in one.
fn final_expression(cell: &str) -> Option<usize> {
    let scan = scan(cell);
    let mut start = None;
    let mut fresh = true;
    for (token, depth) in with_depth(cell, &scan) {
        if fresh {
            start = Some((token.start, word(cell, token)));
            fresh = false;
        }
        fresh |= depth == 0 && word(cell, token) == ";";
    }
    start.filter(|(_, first)| !NO_VALUE.contains(first)).map(|(start, _)| start)
}

/// Removes functions that a later cell redefines: a script may define each only once.
fn without_old_functions(cells: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut kept: Vec<String> = Vec::new();
    for cell in cells.iter().rev() {
        let mut cell = cell.clone();
        let functions = functions(&cell);
        for (key, range) in functions.iter().rev() {
            if seen.contains(key) {
                cell.replace_range(range.clone(), "");
            }
        }
        seen.extend(functions.into_iter().map(|(key, _)| key));
        if !cell.trim().is_empty() {
            kept.push(cell);
        }
    }
    kept.reverse();
    kept
}

/// Name, number of parameters and byte range of every function in a cell.
fn functions(cell: &str) -> Vec<((String, usize), std::ops::Range<usize>)> {
    let scan = scan(cell);
    let tokens: Vec<(&Lexeme, usize)> = with_depth(cell, &scan).collect();
    let mut found = Vec::new();
    for i in 0..tokens.len() {
        let (token, depth) = tokens[i];
        if depth > 0 || word(cell, token) != "fn" {
            continue;
        }
        let at = |what: &str| tokens[i..].iter().position(|(t, _)| word(cell, t) == what).map(|n| i + n);
        let (Some(open), Some(close), Some(body)) = (at("("), at(")"), at("{")) else { continue };
        let Some(end) = tokens[body..].iter().find(|(t, depth)| *depth == 1 && word(cell, t) == "}") else { continue };
        let name = cell[token.end..tokens[open].0.start].trim().to_owned();
        let params = tokens[open..close].iter().filter(|(t, _)| t.kind == LexemeKind::Word).count();
        let private = i.checked_sub(1).map(|before| tokens[before].0).filter(|t| word(cell, t) == "private");
        let start = documented(cell, &scan, private.unwrap_or(token).start);
        found.push(((name, params), start..end.0.end));
    }
    found
}

/// The start of the doc comments of the item at `start`.
fn documented(cell: &str, scan: &Scan, start: usize) -> usize {
    let before = scan.tokens.iter().rev().skip_while(|t| t.start >= start);
    let docs = before
        .take_while(|t| t.kind == LexemeKind::Comment && ["///", "/**"].iter().any(|d| word(cell, t).starts_with(d)));
    docs.last().map_or(start, |t| t.start)
}

/// The tokens that are not comments, with the number of brackets open at each; a bracket counts as inside.
fn with_depth<'s>(cell: &'s str, scan: &'s Scan) -> impl Iterator<Item = (&'s Lexeme, usize)> {
    let mut depth = 0_usize;
    scan.code().map(move |token| {
        let bracket = if token.kind == LexemeKind::Symbol { word(cell, token) } else { "" };
        let closes = matches!(bracket, ")" | "]" | "}");
        depth += usize::from(matches!(bracket, "(" | "[" | "{" | "#{" | "${"));
        let here = depth;
        depth = depth.saturating_sub(usize::from(closes));
        (token, here)
    })
}

fn word<'t>(text: &'t str, token: &Lexeme) -> &'t str {
    &text[token.start..token.end]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The script of some cells, without its first line.
    fn saved(cells: &[&str]) -> String {
        let engine = rhai::Engine::new();
        let cells: Vec<String> = cells.iter().map(|c| (*c).to_owned()).collect();
        let text = script(&cells, |text| engine.compile(text).is_ok());
        assert!(engine.compile(&text).is_ok(), "{text}");
        text.strip_prefix(HEADER).expect("a header").trim().to_owned()
    }

    #[test]
    fn cells_are_ended_where_they_must_be() {
        assert_eq!(
            saved(&["let x = 1", "if x > 0 { x } else { 2 }", "x;"]),
            "let x = 1;\n\nif x > 0 { x } else { 2 }\n\nx;"
        );
        assert_eq!(saved(&["#{ a: 1 }", "2 // two"]), "#{ a: 1 };\n\n2 // two\n;");
    }

    #[test]
    fn only_the_latest_definition_of_a_function_stays() {
        let cells = [
            "/// Old.\nfn f(a, b) { a }\nlet y = 3;",
            "fn f(a) { #{ a: a } }",
            "private fn f(a, b) { if a { b } else { a } } f(1, 2)",
        ];
        assert_eq!(
            saved(&cells),
            "let y = 3;\n\nfn f(a) { #{ a: a } }\n\nprivate fn f(a, b) { if a { b } else { a } } f(1, 2);"
        );
    }

    #[test]
    fn the_last_value_gets_a_name() {
        assert_eq!(
            saved(&["let x = 1; x + 1", "print(`${_}`)", "switch 1 { 1 => _, _ => 2 }"]),
            "let x = 1; let last_1 = x + 1;\n\nprint(`${last_1}`);\n\nswitch 1 { 1 => last_1, _ => 2 }"
        );
        assert_eq!(saved(&["1", "_ + 1", "_ * 2"]), "let last_1 = 1;\n\nlet last_2 = last_1 + 1;\n\nlast_2 * 2;");
    }

    #[test]
    fn expressions_at_the_end_are_found() {
        let of = |cell: &str| final_expression(cell).map(|start| cell[start..].to_owned());
        assert_eq!(of("let x = 1; f(x);"), Some("f(x);".into()));
        assert_eq!(of("f({ 1; 2 })"), Some("f({ 1; 2 })".into()));
        assert_eq!(of("let x = 1;"), None);
        assert_eq!(of("for i in 0..3 { i }"), None);
        assert_eq!(of("// nothing"), None);
    }
}
