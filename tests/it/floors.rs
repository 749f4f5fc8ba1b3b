//! The order of the house: who may use whom, who may print, how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{definitions, imports};

/// Every module with its floor. Modules of one floor are siblings and do not use each other, but for the pairs in
/// [`NEIGHBOURS`].
const FLOORS: [(&str, u8); 31] = [
    ("allocator", 0),
    ("atomic", 0),
    ("error", 0),
    ("files", 0),
    ("forms", 0),
    ("interrupt", 0),
    ("progress", 0),
    ("proto", 0),
    ("midi", 1),
    ("harmony", 1),
    ("tokens", 2),
    ("data", 3),
    ("nn", 4),
    ("train", 5),
    ("generate", 5),
    ("audio", 6),
    ("bench", 6),
    ("export", 6),
    ("metrics", 6),
    ("plot", 6),
    ("sweep", 6),
    ("track", 6),
    ("config", 7),
    ("script", 8),
    ("repl", 9),
    ("notebook", 9),
    ("cli", 10),
    ("launch", 10),
    ("logging", 10),
    ("main", 10),
    ("lib", 10),
];

/// Pairs of one floor of which the first may use the second: charts become scores; errors say how work was stopped.
const NEIGHBOURS: [(&str, &str); 9] = [
    ("atomic", "error"),
    ("atomic", "files"),
    ("cli", "launch"),
    ("cli", "logging"),
    ("files", "error"),
    ("harmony", "midi"),
    ("interrupt", "error"),
    ("progress", "error"),
    ("progress", "interrupt"),
];

/// Whether a library may be named in a module.
type Rule = fn(&str) -> bool;

/// Longest file, in lines.
const LONGEST: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// (module, file relative to src, text) of every source file.
fn sources() -> Vec<(String, String, String)> {
    let src = root().join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    files.sort();
    assert!(files.len() > 50, "only {} files found under src: is the walk broken?", files.len());
    files
        .into_iter()
        .map(|file| {
            let name = file.strip_prefix(&src).expect("inside src").to_string_lossy().into_owned();
            let module = name.split(['/', '.']).next().expect("a first part").to_owned();
            (module, name, fs::read_to_string(file).expect("a text"))
        })
        .collect()
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// The modules a line names as `crate::x` or `etude::x`.
fn named(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or("");
    let mut modules = Vec::new();
    for prefix in ["crate::", "etude::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            modules.push(&rest[..end]);
        }
    }
    modules
}

#[test]
fn a_module_uses_lower_floors_only() {
    let mut wrong = Vec::new();
    for (module, file, text) in sources() {
        let here = floor(&module).unwrap_or_else(|| panic!("src/{file}: give the module '{module}' a floor in FLOORS"));
        if module == "lib" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for other in named(line) {
                let Some(there) = floor(other) else { continue };
                let neighbours = NEIGHBOURS.contains(&(module.as_str(), other));
                if other != module && !neighbours && there >= here {
                    wrong.push(format!(
                        "src/{file}:{}: floor {here} ({module}) uses floor {there} ({other}); move the code down or pass \
                         the value in",
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_stay_on_their_floors() {
    let rules: [(&str, Rule); 3] = [
        ("candle_", |module| floor(module).is_some_and(|f| f >= 4)),
        ("rhai::", |module| module == "script"),
        ("rustyline::", |module| module == "repl"),
    ];
    let mut wrong = Vec::new();
    for (module, file, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            for (library, allowed) in rules {
                if code.contains(library) && !allowed(&module) {
                    wrong.push(format!("src/{file}:{}: '{library}' has no place in {module}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_top_floors_print() {
    let mut wrong = Vec::new();
    for (module, file, text) in sources() {
        if floor(&module).is_some_and(|f| f >= 9) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if ["println!(", "eprintln!(", "print!(", "eprint!("].iter().any(|p| code.contains(p)) {
                wrong.push(format!("src/{file}:{}: prints; give the text to Progress or Output", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_readable() {
    let mut files = Vec::new();
    for folder in ["src", "kernel", "tests", "examples"] {
        let folder = root().join(folder);
        if folder.is_dir() {
            rust_files(&folder, &mut files);
        }
    }
    let long: Vec<String> = files
        .iter()
        .map(|file| (file, fs::read_to_string(file).expect("a text")))
        .filter(|(_, text)| text.lines().count() > LONGEST)
        .map(|(file, text)| format!("{}: {} lines, split it", file.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
    let headless: Vec<String> = files
        .iter()
        .filter(|file| !fs::read_to_string(file).expect("a text").starts_with("//!"))
        .map(|file| format!("{}: say in //! what it holds", file.display()))
        .collect();
    assert!(headless.is_empty(), "{}", headless.join("\n"));
}

#[test]
fn no_two_files_of_a_floor_import_each_other() {
    let sources = imports::sources(&root().join("src"));
    let uses = imports::uses(&sources);
    assert!(uses.len() > 1000, "only {} imports found: is the reader broken?", uses.len());
    let circles: Vec<String> = imports::circles(&uses).iter().map(|circle| circle.join(" ↔ ")).collect();
    assert!(circles.is_empty(), "move what both need below both: {circles:#?}");
}

/// Types that share a name, with the reason.
const SAME_NAME: [(&str, &str); 1] = [("GemvRows", "the kernels of x86-64, and a stub for other architectures")];

/// A handle of the script language may be called as what it holds (`Score`, `Model`): scripts see its Rust name.
#[test]
fn a_type_name_is_used_once() {
    let types = definitions::types(&root().join("src"));
    assert!(types.len() > 500, "only {} types found: is the reader broken?", types.len());
    let shared: Vec<_> = types.iter().filter(|(_, files)| files.len() > 1).collect();
    let wrong: Vec<_> = shared.iter().filter(|(name, _)| !SAME_NAME.iter().any(|(known, _)| known == name)).collect();
    assert!(wrong.is_empty(), "say in the name what each type holds: {wrong:#?}");
    let gone: Vec<_> = SAME_NAME.iter().filter(|(known, _)| !shared.iter().any(|(name, _)| name == known)).collect();
    assert!(gone.is_empty(), "take off SAME_NAME what no longer shares its name: {gone:#?}");
}

#[test]
fn paths_in_the_architecture_and_the_tour_exist() {
    let mut named = 0;
    for (file, base) in [("src/ARCHITECTURE.md", "src"), ("CONTRIBUTING.md", ".")] {
        let text = fs::read_to_string(root().join(file)).expect("a text");
        let code = text.split('`').skip(1).step_by(2).filter(|code| !code.contains(char::is_whitespace));
        for path in code.filter(|code| code.contains('/') && (code.ends_with(".rs") || code.ends_with('/'))) {
            // `NAME.rs` stands for any name.
            if !path.contains("NAME") {
                named += 1;
                let there = root().join(base).join(path).exists() || root().join(path).exists();
                assert!(there, "{file} names {path}, which does not exist");
            }
        }
    }
    assert!(named > 40, "only {named} paths found: is the reader broken?");
}
