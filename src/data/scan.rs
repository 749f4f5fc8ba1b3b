//! Finds MIDI files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::data::SkippedFile;
use crate::error::{Error, Result};
use crate::progress::Progress;

/// File extensions of MIDI, in any case.
const ENDINGS: [&str; 3] = ["mid", "midi", "kar"];

/// The result of a search under one path.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files with a MIDI extension.
    pub(super) files: Vec<PathBuf>,
    /// Folders and links that could not be followed.
    pub(super) broken: Vec<SkippedFile>,
}

/// The `.mid`, `.midi` and `.kar` files in a folder, recursively and sorted; a path of a file gives that file, whatever
/// its extension.
///
/// Symbolic links are followed, cycles of them end; hidden files and folders are skipped.
///
/// # Errors
/// Names a path that does not exist, a folder without MIDI, and the folder inside that cannot be read.
///
/// ```
/// use std::path::Path;
///
/// let files = etude::data::scan(Path::new("examples/midi"))?;
/// assert!(files.len() > 10 && files.is_sorted());
/// # Ok::<(), etude::Error>(())
/// ```
pub fn scan(path: &Path) -> Result<Vec<PathBuf>> {
    let found = find(path, &Progress::silent())?;
    match found.broken.first() {
        Some(SkippedFile { path, reason }) => Err(Error::broken(format!("cannot read {}: {reason}", path.display()))),
        None => Ok(found.files),
    }
}

/// [`scan`], with what cannot be read reported in the result, and with cancellation.
pub(super) fn find(path: &Path, progress: &Progress) -> Result<Found> {
    let kind = std::fs::metadata(path).map_err(|e| missing(path, e))?.file_type();
    if kind.is_file() {
        return Ok(Found { files: vec![path.to_path_buf()], broken: Vec::new() });
    }
    if !kind.is_dir() {
        return Err(Error::mistake(format!("{} is neither a file nor a folder", path.display())));
    }
    let mut found = Found::default();
    let mut others = 0;
    let walk = WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|e| e.depth() == 0 || !is_hidden(e)) {
        progress.check()?;
        match entry {
            Ok(entry) if !entry.file_type().is_file() => {}
            Ok(entry) if is_midi(entry.path()) => found.files.push(entry.into_path()),
            Ok(_) => others += 1,
            // A link to a folder that is being walked: nothing is missed.
            Err(e) if e.loop_ancestor().is_some() => {}
            Err(e) => found.broken.extend(unreadable(&e)),
        }
    }
    if found.files.is_empty() && found.broken.is_empty() {
        return Err(Error::mistake(format!("no MIDI files in {}", path.display())).with_hint(format!(
            "they end in .mid, .midi or .kar, at any depth; {others} files there are called otherwise"
        )));
    }
    Ok(found)
}

fn missing(path: &Path, error: std::io::Error) -> Error {
    if error.kind() != std::io::ErrorKind::NotFound {
        return Error::io("cannot read", path, error);
    }
    let refused = Error::mistake(format!("there is no file or folder {}", path.display()));
    match std::env::current_dir() {
        Ok(here) if path.is_relative() => refused.with_hint(format!("paths are taken from {}", here.display())),
        _ => refused.with_hint("check the spelling; a folder is searched for .mid, .midi and .kar files"),
    }
}

/// The report on an entry that could not be read; none for a dangling link without a MIDI extension.
fn unreadable(error: &walkdir::Error) -> Option<SkippedFile> {
    let path = error.path()?;
    let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
    let dangling = std::fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
    (!dangling || is_midi(path)).then(|| SkippedFile { path: path.to_path_buf(), reason })
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn is_midi(path: &Path) -> bool {
    path.extension().is_some_and(|e: &OsStr| ENDINGS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            fs::write(path, b"").expect("a file");
        }
        root
    }

    fn names(root: &Path, files: &[PathBuf]) -> Vec<String> {
        files.iter().map(|f| f.strip_prefix(root).expect("inside").display().to_string()).collect()
    }

    #[test]
    fn midi_is_found_at_any_depth_in_any_case_and_in_order() {
        let root = folder(&["b.MID", "a/z.midi", "a/x.Kar", "a.mid", "notes.txt", "mid", ".hidden.mid", ".git/c.mid"]);
        let files = scan(root.path()).expect("there are some");
        assert_eq!(names(root.path(), &files), ["a/x.Kar", "a/z.midi", "a.mid", "b.MID"]);
    }

    #[test]
    fn a_file_is_itself_whatever_it_is_called() {
        let root = folder(&["song.bin"]);
        let file = root.path().join("song.bin");
        assert_eq!(scan(&file).expect("it is there"), [file]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let root = folder(&["notes.txt"]);
        let error = scan(&root.path().join("nowhere")).expect_err("it is not there");
        assert!(error.message().contains("nowhere") && error.hint().is_some(), "{error}");
        let error = scan(root.path()).expect_err("no MIDI");
        assert!(error.message().contains(&root.path().display().to_string()), "{error}");
        assert!(error.hint().is_some_and(|h| h.contains("1 files there")), "{error}");
        let error = scan(Path::new("no/such/folder")).expect_err("it is not there");
        assert!(error.hint().is_some_and(|h| h.starts_with("paths are taken from ")), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn loops_of_links_end_and_dangling_ones_are_reported() {
        use std::os::unix::fs::symlink;
        let root = folder(&["a/x.mid"]);
        symlink(root.path(), root.path().join("a/loop")).expect("a link");
        symlink("gone.txt", root.path().join("a/gone.txt.lnk")).expect("a link");
        assert_eq!(names(root.path(), &scan(root.path()).expect("one")), ["a/x.mid"]);
        symlink("gone", root.path().join("a/gone.mid")).expect("a link");
        let found = find(root.path(), &Progress::silent()).expect("one is there");
        assert_eq!(names(root.path(), &found.files), ["a/x.mid"]);
        assert_eq!(found.broken.len(), 1);
        assert!(found.broken[0].path.ends_with("a/gone.mid"), "{found:?}");
        assert!(scan(root.path()).expect_err("it dangles").message().contains("gone.mid"));
    }
}
