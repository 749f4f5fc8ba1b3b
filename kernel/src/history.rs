//! The cells of this session, as consoles ask for them.

use serde::Deserialize;
use serde_json::{Value, json};

/// The cells that were stored, with their numbers.
#[derive(Debug, Default)]
pub(crate) struct History {
    cells: Vec<(usize, String)>,
}

/// A `history_request`; front ends leave out what they do not need.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Query {
    hist_access_type: String,
    output: bool,
    n: Option<usize>,
    start: Option<i64>,
    stop: Option<i64>,
    pattern: Option<String>,
    unique: bool,
}

impl History {
    pub(crate) fn push(&mut self, number: usize, cell: &str) {
        self.cells.push((number, cell.to_owned()));
    }

    /// The content of a `history_reply`.
    pub(crate) fn answer(&self, query: &Query) -> Value {
        let mut found: Vec<&(usize, String)> = match query.hist_access_type.as_str() {
            "range" => {
                let from = query.start.unwrap_or(0);
                let to = query.stop.unwrap_or(i64::MAX);
                let inside = |number: usize| i64::try_from(number).is_ok_and(|n| n >= from && n < to);
                self.cells.iter().filter(|(number, _)| inside(*number)).collect()
            }
            "search" => {
                let pattern = query.pattern.as_deref().unwrap_or("*");
                self.cells.iter().filter(|(_, cell)| glob(pattern, cell)).collect()
            }
            _ => self.cells.iter().collect(),
        };
        if query.unique {
            let mut seen = std::collections::HashSet::new();
            found.reverse();
            found.retain(|(_, cell)| seen.insert(cell.as_str()));
            found.reverse();
        }
        if query.hist_access_type != "range" {
            let n = query.n.unwrap_or(usize::MAX);
            found.drain(..found.len().saturating_sub(n));
        }
        let entry = |(number, cell): &(usize, String)| {
            if query.output { json!([0, number, [cell, null]]) } else { json!([0, number, cell]) }
        };
        json!({ "status": "ok", "history": found.into_iter().map(entry).collect::<Vec<_>>() })
    }
}

/// Shell patterns: `*` is any text, `?` any character, the whole text must match.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells() -> History {
        let mut history = History::default();
        for (number, cell) in [(1, "let a = 1"), (2, "print(a)"), (3, "let b = 2"), (4, "print(a)")] {
            history.push(number, cell);
        }
        history
    }

    fn ask(content: Value) -> Value {
        let query: Query = serde_json::from_value(content).expect("all fields have defaults");
        cells().answer(&query)["history"].clone()
    }

    #[test]
    fn the_tail_is_the_last_n() {
        let tail = ask(json!({ "hist_access_type": "tail", "n": 2 }));
        assert_eq!(tail, json!([[0, 3, "let b = 2"], [0, 4, "print(a)"]]));
    }

    #[test]
    fn a_range_leaves_its_end_out_and_can_carry_outputs() {
        let range = ask(json!({ "hist_access_type": "range", "session": 0, "start": 1, "stop": 2, "output": true }));
        assert_eq!(range, json!([[0, 1, ["let a = 1", null]]]));
    }

    #[test]
    fn a_search_is_a_glob_and_needs_neither_n_nor_unique() {
        let found = ask(json!({ "hist_access_type": "search", "pattern": "let ? = *" }));
        assert_eq!(found, json!([[0, 1, "let a = 1"], [0, 3, "let b = 2"]]));
        let once = ask(json!({ "hist_access_type": "search", "pattern": "print*", "unique": true }));
        assert_eq!(once, json!([[0, 4, "print(a)"]]));
    }

    #[test]
    fn globs_match_whole_texts() {
        for (pattern, text, expected) in
            [("*", "", true), ("a*c", "abbc", true), ("a*c", "abcd", false), ("?", "", false), ("*x*x", "axbx", true)]
        {
            assert_eq!(glob(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
