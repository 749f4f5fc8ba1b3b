//! `tests/cases/README.md` names the tests of each case: they exist, and every file of the folder is in the table.

use std::fs;
use std::path::Path;

/// Rows of the table; a row more or less must be meant.
const ROWS: usize = 30;

#[test]
fn every_case_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("tests/cases/README.md")).expect("the table");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(rows.len(), ROWS);
    for row in &rows {
        let tests = row.replace("\\|", "/");
        let tests: Vec<&str> = tests.rsplit('|').nth(1).expect("two columns").split(", ").map(str::trim).collect();
        for test in tests {
            let test = test.trim_matches('`');
            let (file, name) = test.split_once("::").unwrap_or((test, ""));
            let source = fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            assert!(name.is_empty() || source.contains(&format!("fn {name}()")), "{test} is not there");
        }
    }
    let mut files = 0;
    for folder in ["midi", "audio"] {
        for entry in fs::read_dir(root.join("tests/cases").join(folder)).expect("a folder") {
            let name = format!("`{folder}/{}`", entry.expect("an entry").file_name().to_string_lossy());
            assert!(table.contains(&name), "{name} is in no row");
            files += 1;
        }
    }
    assert_eq!(files, 14);
}
