//! The pieces that come with the project.

use std::fs;
use std::path::Path;

use etude::data::scan;
use etude::midi::Score;

#[test]
fn every_example_piece_reads_has_notes_and_stands_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/midi");
    let files = scan(&folder).expect("the folder is there");
    assert_eq!(files.len(), 16);
    let table = fs::read_to_string(folder.join("README.md")).expect("the table is there");
    for file in files {
        let score = Score::read(&file).expect("a good file");
        assert!(score.len() > 1000, "{} has {} notes", file.display(), score.len());
        let name = file.file_name().and_then(|n| n.to_str()).expect("a plain name");
        let row = table.lines().find(|line| line.contains(&format!("`{name}`")));
        assert!(row.is_some_and(|row| row.contains("public domain")), "{name} is not in the table");
    }
}
