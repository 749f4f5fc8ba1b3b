//! The history of cells over sessions, for consoles.
//!
//! It is a file of JSON lines, `[session, line, cell]`; every kernel appends to it, so that several may run at once.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

/// Cells kept of earlier sessions; a file with twice as many is cut to these.
const REMEMBERED: usize = 5000;
/// The longest cell that is stored, in bytes.
const LONGEST: usize = 100_000;

/// A cell: its session, its number there, its text.
type Entry = (u64, usize, String);

/// The stored cells, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    cells: Vec<Entry>,
    /// The number of this session.
    session: u64,
    /// The history file, if there is one.
    file: Option<PathBuf>,
}

/// A `history_request`; front ends leave out what they do not need.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Query {
    hist_access_type: String,
    output: bool,
    session: i64,
    n: Option<usize>,
    start: Option<i64>,
    stop: Option<i64>,
    pattern: Option<String>,
    unique: bool,
}

impl History {
    /// Opens the history in a file, which need not exist. An unreadable file is treated as empty.
    pub(crate) fn open(path: &Path) -> Self {
        let text = fs::read(path).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n');
        // A truncated line, for example after a full disk, is skipped.
        let mut cells: Vec<Entry> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let session = cells.iter().map(|cell| cell.0).max().map_or(1, |last| last + 1);
        if cells.len() > 2 * REMEMBERED {
            cells.drain(..cells.len() - REMEMBERED);
            rewrite(path, &cells);
        }
        Self { cells, session, file: Some(path.into()) }
    }

    pub(crate) fn push(&mut self, number: usize, cell: &str) {
        let entry = (self.session, number, cell.to_owned());
        if let Some(path) = self.file.as_deref().filter(|_| cell.len() <= LONGEST && !cell.trim().is_empty()) {
            // A cell runs even if the history cannot be written.
            if let Err(error) = append(path, &entry) {
                tracing::warn!(%error, path = %path.display(), "a cell was not added to the history");
            }
        }
        self.cells.push(entry);
    }

    /// The content of a `history_reply`.
    pub(crate) fn answer(&self, query: &Query) -> Value {
        let mut found: Vec<&Entry> = match query.hist_access_type.as_str() {
            "range" => {
                let from = query.start.unwrap_or(0);
                let to = query.stop.unwrap_or(i64::MAX);
                let session = self.session_of(query.session);
                let inside = |number: usize| i64::try_from(number).is_ok_and(|n| n >= from && n < to);
                self.cells.iter().filter(|(of, number, _)| Some(*of) == session && inside(*number)).collect()
            }
            "search" => {
                let pattern = query.pattern.as_deref().unwrap_or("*");
                self.cells.iter().filter(|(_, _, cell)| glob(pattern, cell)).collect()
            }
            _ => self.cells.iter().collect(),
        };
        if query.unique {
            let mut seen = HashSet::new();
            found.reverse();
            found.retain(|(_, _, cell)| seen.insert(cell.as_str()));
            found.reverse();
        }
        if query.hist_access_type != "range" {
            let n = query.n.unwrap_or(usize::MAX);
            found.drain(..found.len().saturating_sub(n));
        }
        let entry = |(session, number, cell): &Entry| {
            if query.output { json!([session, number, [cell, null]]) } else { json!([session, number, cell]) }
        };
        json!({ "status": "ok", "history": found.into_iter().map(entry).collect::<Vec<_>>() })
    }

    /// A session by its number; 0 is this one, −1 the one before.
    fn session_of(&self, number: i64) -> Option<u64> {
        if number > 0 { u64::try_from(number).ok() } else { self.session.checked_sub(number.unsigned_abs()) }
    }
}

fn append(path: &Path, entry: &Entry) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // One call, so that the lines of two kernels do not mix.
    options.open(path)?.write_all(format!("{}\n", json!(entry)).as_bytes())
}

fn rewrite(path: &Path, cells: &[Entry]) {
    let text: String = cells.iter().map(|entry| format!("{}\n", json!(entry))).collect();
    let part = path.with_extension("part");
    // If it fails, the file stays as it was.
    if fs::write(&part, text).is_err() || fs::rename(&part, path).is_err() {
        let _ = fs::remove_file(&part);
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
    fn cells_outlive_their_session() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/history");
        let mut first = History::open(&path);
        first.push(1, "let a = 1");
        first.push(2, "two\nlines");
        first.push(3, "  ");
        let mut second = History::open(&path);
        second.push(1, "a + 1");
        let ask = |content: Value| {
            let query: Query = serde_json::from_value(content).expect("all fields have defaults");
            second.answer(&query)["history"].clone()
        };
        assert_eq!(ask(json!({ "hist_access_type": "tail", "n": 2 })), json!([[1, 2, "two\nlines"], [2, 1, "a + 1"]]));
        assert_eq!(ask(json!({ "hist_access_type": "range", "session": 0 })), json!([[2, 1, "a + 1"]]));
        assert_eq!(ask(json!({ "hist_access_type": "range", "session": -1, "stop": 2 })), json!([[1, 1, "let a = 1"]]));
        assert_eq!(ask(json!({ "hist_access_type": "range", "session": 7 })), json!([]));
        fs::write(&path, "[1, 1, \"whole\"]\n[1, 2, \"cu").expect("written");
        assert_eq!(History::open(&path).cells, [(1, 1, "whole".to_owned())]);
    }

    #[test]
    fn a_long_history_is_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history");
        let lines: String = (0..=2 * REMEMBERED).map(|i| format!("[1,{i},\"{i}\"]\n")).collect();
        fs::write(&path, lines).expect("written");
        assert_eq!(History::open(&path).cells.len(), REMEMBERED);
        assert_eq!(fs::read_to_string(&path).expect("read").lines().count(), REMEMBERED);
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
