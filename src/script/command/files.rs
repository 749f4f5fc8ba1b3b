//! The commands that read and write files, and those that move between folders.

use std::path::{Path, PathBuf};

use super::{Outcome, cells, exported, ipynb, mistake, run_cell, text_output};
use crate::error::Error;
use crate::files::{locate, read_text, set_notebook_folder};
use crate::script::programs::{PROGRAMS, Program};
use crate::script::{Bundle, CellError, Output, Session, parser};

pub(super) fn save(session: &mut Session, args: &str) -> Result<Outcome, CellError> {
    if args.is_empty() {
        return mistake(":save needs a file name", ":save song.rhai, or :save song.ipynb for a notebook");
    }
    let mut path = home(unquoted(args))?;
    if path.extension().is_none() {
        path.set_extension("rhai");
    }
    if session.cells().is_empty() {
        return mistake("there is nothing to save: no cell has run yet", "run some code first");
    }
    let ours = |old: &[u8]| old.starts_with(cells::HEADER.as_bytes()) || ipynb::is_saved(old);
    if std::fs::read(&path).is_ok_and(|old| !old.is_empty() && !ours(&old)) {
        let message = format!("{} is there already and was not written by :save", path.display());
        return mistake(message, "choose another name, or remove it first");
    }
    let text = if is_notebook(&path) {
        ipynb::notebook(session.cells().iter().map(String::as_str).zip(session.shown().iter().map(Vec::as_slice)))
    } else {
        cells::script(session.cells(), |text| parser::parse(text).is_ok())
    };
    crate::atomic::write(&path, text.as_bytes()).map_err(|e| CellError::from(&e))?;
    let count = session.cells().len();
    let cells = if count == 1 { "cell" } else { "cells" };
    text_output(format!("{count} {cells} in {0}; run it with: etude run {0}", path.display()))
}

pub(super) fn load(session: &mut Session, args: &str) -> Result<Outcome, CellError> {
    let mut words = words(args).into_iter();
    let Some(name) = words.next() else {
        return mistake(":load needs a file or the name of a program", ":load quickstart");
    };
    let path = home(&name)?;
    let program = Program::named(&name).filter(|_| !path.exists());
    if program.is_none() && !path.exists() && path.extension().is_none() && path.components().count() == 1 {
        let names: Vec<&str> = PROGRAMS.iter().map(|p| p.name).collect();
        return Err(CellError::from(&Error::unknown("file or program", &name, &names)));
    }
    session.set_args(&words.collect::<Vec<_>>());
    let value = match program {
        Some(program) => session.run_source(program.name, program.source)?,
        None => run_file(session, &path)?,
    };
    Ok(Outcome::Shown(value.unwrap_or_default()))
}

/// Runs a script, or the code cells of a notebook one after another.
///
/// # Errors
/// The error of the script, which for a notebook names the cell; a file that cannot be read.
pub fn run_file(session: &mut Session, path: &Path) -> Result<Option<Bundle>, CellError> {
    let read = || read_text(path).map_err(|e| CellError::from(&e));
    if !is_notebook(path) {
        // Pipes and devices can be read only once.
        let cells = if path.is_file() { exported::cells(&read()?) } else { None };
        let Some(cells) = cells else { return session.run(path) };
        // Empty lines in front of a cell preserve its line numbers.
        let cell = |(line, text): (usize, String)| (path.display().to_string(), format!("{}{text}", "\n".repeat(line)));
        return run_cells(session, cells.into_iter().map(cell));
    }
    let cells = ipynb::code_cells(&read()?).map_err(|e| CellError::from(&e.context(path.display())))?;
    let before = set_notebook_folder(path.parent().map(Path::to_path_buf));
    let cell = |(number, cell)| (format!("{}, cell {number}", path.display()), cell);
    let value = run_cells(session, cells.into_iter().map(cell));
    set_notebook_folder(before);
    value
}

/// Runs named cells one after another.
fn run_cells(
    session: &mut Session,
    cells: impl Iterator<Item = (String, String)>,
) -> Result<Option<Bundle>, CellError> {
    let output = session.host().output.clone();
    let mut value = None;
    for (name, cell) in cells {
        let mut left = false;
        let mut report = |done: Outcome| match done {
            Outcome::Shown(bundle) | Outcome::Page(bundle) if !bundle.plain().is_empty() => {
                output(Output::Text(format!("{}\n", bundle.plain())));
            }
            done => left |= matches!(done, Outcome::Quit),
        };
        value = run_cell(session, Some(&name), &cell, &mut report)?;
        if left || session.exits() {
            break;
        }
    }
    Ok(value)
}

fn is_notebook(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("ipynb"))
}

pub(super) fn cd(session: &mut Session, args: &str) -> Result<Outcome, CellError> {
    let folder = home(if args.is_empty() { "~" } else { unquoted(args) })?;
    std::env::set_current_dir(&folder).map_err(|e| CellError::from(&Error::io("cannot go to", &folder, e)))?;
    pwd(session, "")
}

pub(super) fn pwd(_: &mut Session, _: &str) -> Result<Outcome, CellError> {
    let folder =
        std::env::current_dir().map_err(|e| CellError::from(&Error::io("cannot find", "the current folder", e)))?;
    text_output(folder.display().to_string())
}

/// Expands `~` at the beginning of a path.
fn home(path: &str) -> Result<PathBuf, CellError> {
    locate(path).map_err(|e| CellError::from(&e))
}

fn unquoted(text: &str) -> &str {
    let within = |quote| text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(text)
}

/// Splits at spaces outside of quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for c in text.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_what_stands_in_quotes() {
        assert_eq!(words("a  'b c' \"\" --d=\"e f\"g"), ["a", "b c", "", "--d=e fg"]);
        assert_eq!(words("  "), [""; 0]);
    }
}
