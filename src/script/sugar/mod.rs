//! Syntax extensions beyond Rhai's grammar: slices of arrays, destructuring, loops over pairs, calls of closures by
//! name, `??` after a missing key. The source is rewritten to Rhai's grammar before it is parsed; positions are mapped
//! back to the original.
//!
//! Names of helper functions begin with two underscores; they are registered in `objects/hidden.rs`.

mod calls;
mod coalesce;
mod copies;
mod slices;
mod tokens;
mod unpack;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tokens::Tokens;

/// The names known when a text is rewritten.
#[derive(Debug, Default)]
pub(crate) struct KnownNames {
    /// Variables of the session that hold a function.
    pub(crate) closures: BTreeSet<String>,
    /// Functions that can be called by name; a variable of the same name does not hide them.
    pub(crate) functions: BTreeSet<String>,
}

/// A replacement of a byte range. Neither the old nor the new text contains a line end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edit {
    at: usize,
    removed: usize,
    inserted: String,
}

/// The replacements in one text, in order.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    /// By position; insertions at the same position are in order of addition.
    found: BTreeMap<usize, Edit>,
}

impl Edits {
    /// Inserts text before a byte.
    fn insert(&mut self, at: usize, text: &str) {
        let edit = self.found.entry(at).or_insert(Edit { at, removed: 0, inserted: String::new() });
        edit.inserted.push_str(text);
    }

    /// Inserts text before earlier insertions at the same byte.
    fn insert_first(&mut self, at: usize, text: &str) {
        let edit = self.found.entry(at).or_insert(Edit { at, removed: 0, inserted: String::new() });
        edit.inserted.insert_str(0, text);
    }

    /// Replaces bytes; a second replacement at the same position is ignored.
    fn replace(&mut self, at: usize, removed: usize, text: &str) {
        let edit = self.found.entry(at).or_insert(Edit { at, removed: 0, inserted: String::new() });
        if edit.removed == 0 {
            edit.removed = removed;
            edit.inserted.push_str(text);
        }
    }

    /// Whether a position is already replaced.
    fn replaces(&self, at: usize) -> bool {
        self.found.get(&at).is_some_and(|edit| edit.removed > 0)
    }
}

/// A text in Rhai's grammar, with the map of positions to the original.
#[derive(Debug, Clone)]
pub(crate) struct PlainText {
    /// The rewritten text.
    pub(crate) text: String,
    /// The map of positions to the original.
    pub(crate) places: ColumnMap,
}

/// Maps positions in the rewritten text to the original.
#[derive(Debug, Clone, Default)]
pub(crate) struct ColumnMap(Rc<[Shift]>);

/// A replacement by line and column of the original (from 1, in characters).
#[derive(Debug, Clone, Copy)]
struct Shift {
    line: usize,
    column: usize,
    removed: usize,
    inserted: usize,
}

/// Rewrites a text to Rhai's grammar.
pub(crate) fn plain(text: &str, names: &KnownNames) -> PlainText {
    let tokens = Tokens::new(text);
    let mut edits = Edits::default();
    slices::edit(&tokens, &mut edits);
    coalesce::edit(&tokens, &mut edits);
    calls::edit(&tokens, names, &mut edits);
    unpack::edit(&tokens, &mut edits);
    copies::edit(&tokens, &mut edits);
    if edits.found.is_empty() {
        return PlainText { text: text.into(), places: ColumnMap::default() };
    }
    apply(text, edits)
}

fn apply(text: &str, edits: Edits) -> PlainText {
    let mut plain = String::with_capacity(text.len() + 64);
    let mut shifts = Vec::with_capacity(edits.found.len());
    let (mut done, mut line, mut line_start) = (0, 1, 0);
    for edit in edits.found.into_values() {
        // A replacement inside of another is dropped.
        if edit.at < done {
            continue;
        }
        let between = &text[done..edit.at];
        if let Some(last) = between.rfind('\n') {
            line += between.matches('\n').count();
            line_start = done + last + 1;
        }
        plain.push_str(between);
        plain.push_str(&edit.inserted);
        done = edit.at + edit.removed;
        shifts.push(Shift {
            line,
            column: text[line_start..edit.at].chars().count() + 1,
            removed: text[edit.at..done].chars().count(),
            inserted: edit.inserted.chars().count(),
        });
    }
    plain.push_str(&text[done..]);
    PlainText { text: plain, places: ColumnMap(shifts.into()) }
}

impl ColumnMap {
    /// The column in the original of a column in the rewritten text; lines are the same.
    pub(crate) fn column(&self, line: usize, column: usize) -> usize {
        // Both counted from the original to the edited text.
        let mut grown: isize = 0;
        for shift in self.0.iter().filter(|shift| shift.line == line) {
            let begin = shift.column as isize + grown;
            let at = column as isize;
            if at < begin {
                break;
            }
            if at < begin + shift.inserted as isize {
                return shift.column;
            }
            grown += shift.inserted as isize - shift.removed as isize;
        }
        (column as isize - grown).max(1) as usize
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Rewrites a text in a session with the closures `f` and `g`.
    pub(crate) fn edited(text: &str) -> String {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_string()).collect();
        plain(text, &KnownNames { closures: names(&["f", "g"]), functions: names(&["midi", "print"]) }).text
    }

    #[test]
    fn a_text_without_any_of_it_stays_as_it_is() {
        for text in ["", "let x = 5; x + 1", "a[0][-1]", "for i in 0..3 { print(i) }", "try { 1 } catch { 2 }", "a ? b"]
        {
            assert_eq!(edited(text), text);
        }
    }

    #[test]
    fn places_are_told_in_the_original() {
        let text = "let a = xs[1..3];\nf(xs[0..1]) + nothing";
        let plain = plain(text, &KnownNames { closures: ["f".to_string()].into(), ..KnownNames::default() });
        assert_eq!(plain.text, "let a = xs.slice(1..3);\ncall(f,xs.slice(0..1)) + nothing");
        for (line, (old, new)) in text.lines().zip(plain.text.lines()).enumerate() {
            for word in ["let", "xs", "3", ";", "nothing", "+"] {
                let column = |text: &str| text.find(word).map(|byte| text[..byte].chars().count() + 1);
                if let (Some(old), Some(new)) = (column(old), column(new)) {
                    assert_eq!(plain.places.column(line + 1, new), old, "{word}");
                }
            }
        }
    }

    #[test]
    fn any_text_is_survived() {
        let pieces = [
            "a[",
            "..",
            "]",
            "??",
            "for (a, b) in ",
            "let (a,b) = ",
            "{",
            "}",
            "f(",
            ")",
            "catch (e) {",
            "é",
            "`${",
            "\n",
            "eval(",
        ];
        for first in pieces {
            for second in pieces {
                for third in pieces {
                    let text = format!("{first}{second}{third}");
                    assert_eq!(edited(&text).lines().count(), text.lines().count(), "{text:?}");
                }
            }
        }
    }
}
