//! The words of the code: those of the field, and not those that earlier versions had in their place.

use std::fs;
use std::path::{Path, PathBuf};

/// Words and phrases that are not used, and what is used instead.
const RETIRED: [(&str, &str); 26] = [
    ("said", "output, message, default"),
    ("saying", "a standard term"),
    ("spent", "consumed, elapsed"),
    ("wants", "needs, requires"),
    ("twin", "reference"),
    ("studio", "context"),
    ("knowledge", "symbols"),
    ("skinny", "narrow"),
    ("step_there", "step_cuda"),
    ("room_there", "reserve_cuda"),
    ("one_query", "single_query"),
    ("few_rows", "gemv"),
    ("recall", "cached_attention"),
    ("so many", "up to n"),
    ("is no part", "is not part"),
    ("are no batch", "are not a batch"),
    ("A stop.", "`interrupted`, when the user cancels"),
    ("learned nothing", "random initialisation"),
    ("has been said", "the positions so far"),
    ("write down", "record"),
    ("speaks", "uses, prints"),
    ("stands still", "is suspended"),
    ("train/room", "memory_estimate"),
    ("train/watch", "callbacks"),
    ("train/health", "divergence"),
    ("parallel/meet", "rendezvous"),
];

const FOLDERS: [&str; 8] = ["src", "kernel", "tests", "scripts", "configs", "examples", ".ci", "Dockerfile"];
const ENDINGS: [&str; 11] = ["rs", "rhai", "py", "sh", "yaml", "md", "toml", "cu", "cuh", "cpp", "trycmd"];

fn texts(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            texts(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_none_or(|ending| ENDINGS.iter().any(|known| ending == *known)) {
        found.push(path.to_owned());
    }
}

/// Whether the text has the phrase with no letter, digit or underscore on either side.
fn has(line: &str, phrase: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(phrase)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + phrase.len()..].starts_with(part))
}

#[test]
fn retired_words_are_gone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    FOLDERS.iter().for_each(|folder| texts(&root.join(folder), &mut files));
    files.retain(|file| !file.ends_with("tests/it/words.rs"));
    assert!(files.len() > 700, "{} files", files.len());
    let mut found = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            for (word, instead) in RETIRED.iter().filter(|(word, _)| has(line, word)) {
                found.push(format!("{}:{}: '{word}', say '{instead}'", file.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_word_is_whole() {
    assert!(has("it said so", "said") && has("said", "said") && has("(said)", "said"));
    assert!(!has("unsaid", "said") && !has("said_so", "said") && !has("twins", "twin"));
}
