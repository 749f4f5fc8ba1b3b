//! Reading files by the names that people type and in the encodings that editors write: `~`, names that are not UTF-8,
//! byte order marks, pipes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// The largest text that is read, in bytes.
const LONGEST_TEXT: u64 = 256 << 20;

/// The folder of the notebook that is run as a script, if one is.
static NOTEBOOK: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Sets the folder in which [`locate`] also looks for relative paths, and gives the one before: Jupyter runs a notebook
/// in its own folder, a command line in that of the caller.
pub fn set_notebook_folder(folder: Option<PathBuf>) -> Option<PathBuf> {
    std::mem::replace(&mut *NOTEBOOK.lock().unwrap_or_else(PoisonError::into_inner), folder)
}

/// A path that does not exist, but does in the folder of the running notebook, as the one there.
fn beside_the_notebook(path: PathBuf) -> PathBuf {
    if path.is_absolute() || path.exists() {
        return path;
    }
    let folder = NOTEBOOK.lock().unwrap_or_else(PoisonError::into_inner);
    folder.as_ref().map(|folder| folder.join(&path)).filter(|there| there.exists()).unwrap_or(path)
}

/// The path that a text names: `~` and `~/…` are the home folder, a name that was shown with replacement characters,
/// because it is not UTF-8, is found again in its folder, and what is only beside the notebook that runs is found there.
///
/// # Errors
/// Refuses `~name/…`, the home folder of somebody else, and `~` where no home folder is known.
pub fn locate(text: &str) -> Result<PathBuf> {
    let path = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).ok_or_else(|| {
                Error::mistake(format!("{text} is in the home folder, and none is known"))
                    .with_hint("set HOME, or write the folder out")
            })?;
            home.join(rest.trim_start_matches('/'))
        }
        Some(rest) if rest.contains('/') && !Path::new(text.split('/').next().unwrap_or(text)).exists() => {
            return Err(Error::mistake(format!("{text}: the home folder of another user is not looked up"))
                .with_hint(format!("write it out; a folder of that name here is ./{text}")));
        }
        _ => PathBuf::from(text),
    };
    Ok(beside_the_notebook(if text.contains(char::REPLACEMENT_CHARACTER) { as_stored(&path) } else { path }))
}

/// The path with each name that holds replacement characters as the folder has it, where exactly one fits.
fn as_stored(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        let shown = part.as_os_str().to_string_lossy();
        let known = found.join(part);
        if !matches!(part, Component::Normal(_)) || !shown.contains(char::REPLACEMENT_CHARACTER) || known.exists() {
            found = known;
            continue;
        }
        let folder = if found.as_os_str().is_empty() { Path::new(".") } else { &found };
        let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let fitting: Vec<OsString> = names.filter(|name| name.to_string_lossy() == shown).collect();
        found = match fitting.as_slice() {
            [one] => found.join(one),
            _ => known,
        };
    }
    found
}

/// The text of a file, without the byte order mark that some editors put in front of it.
///
/// # Errors
/// Names a file that is not there or not UTF-8. What is not a file, a pipe on disk or a device, is refused before it is
/// read, since it may never end; what a shell hands over (`<(…)`, `/dev/stdin`) is read.
pub fn read_text(path: &Path) -> Result<String> {
    let fail = |e| Error::io("cannot read", path, e);
    let kind = fs::metadata(path).map_err(fail)?;
    if kind.is_dir() {
        return Err(Error::mistake(format!("{} is a folder, not a file", path.display())));
    }
    check_ends(path)?;
    let long = || {
        Error::mistake(format!("{} is longer than {} MiB: it is not text", path.display(), LONGEST_TEXT >> 20))
            .with_hint("is it another file that is meant?")
    };
    if kind.is_file() && kind.len() > LONGEST_TEXT {
        return Err(long());
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(fail)?.take(LONGEST_TEXT + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > LONGEST_TEXT {
        return Err(long());
    }
    text(bytes).map_err(|e| e.context(path.display()))
}

/// Bytes as a text, without a byte order mark.
///
/// # Errors
/// Says where they are not UTF-8.
pub fn text(bytes: Vec<u8>) -> Result<String> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Error::broken("is not text in UTF-8 but in UTF-16").with_hint("save it as UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        Error::broken(format!("is not text: byte {} is not UTF-8", e.utf8_error().valid_up_to()))
            .with_hint("save it as UTF-8, if it is a text")
    })?;
    Ok(match without_mark(&text) {
        whole if whole.len() == text.len() => text,
        rest => rest.to_owned(),
    })
}

/// A text without a byte order mark in front (YAML 1.2 §5.2; Rhai and JSON do not allow it).
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Refuses a pipe, a device or a socket where a file is wanted: reading it may never end.
///
/// # Errors
/// Names the path and what it is; a missing path passes this check.
pub fn check_is_file(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(kind) if !kind.is_file() && !kind.is_dir() => {
            Err(Error::mistake(format!("{} is a pipe or a device, not a file", path.display()))
                .with_hint("write what it gives to a file first, and name that"))
        }
        _ => Ok(()),
    }
}

/// [`check_is_file`], which also lets pass what a shell hands over (`<(…)`, `/dev/stdin`): somebody writes there.
///
/// # Errors
/// As [`check_is_file`].
pub fn check_ends(path: &Path) -> Result<()> {
    if is_handed_over(path) { Ok(()) } else { check_is_file(path) }
}

/// Whether a shell has opened this for the program: `<(command)`, standard input and output.
pub(crate) fn is_handed_over(path: &Path) -> bool {
    ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd", "/proc/self/fd"].iter().any(|known| path.starts_with(known))
}

/// Removes a file that may not be there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("cannot remove", path, e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_home_folder_or_refused() {
        let home = std::env::home_dir().expect("one is known");
        assert_eq!(locate("~").ok(), Some(home.clone()));
        assert_eq!(locate("~/a b/c.mid").ok(), Some(home.join("a b/c.mid")));
        assert!(locate("~nobody-here/a.mid").is_err_and(|e| e.message().contains("another user")));
        for plain in ["a~", "./~", "a/~/b", "~draft.mid", "/x/~y"] {
            assert_eq!(locate(plain).ok(), Some(PathBuf::from(plain)));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_that_is_not_utf_8_is_found_by_what_is_shown() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        fs::create_dir(&folder).expect("made");
        let file = folder.join(std::ffi::OsStr::from_bytes(b"\xfcber.mid"));
        fs::write(&file, b"x").expect("written");
        assert_eq!(locate(&file.to_string_lossy()).ok(), Some(file.clone()));
        fs::write(folder.join(std::ffi::OsStr::from_bytes(b"\xfdber.mid")), b"y").expect("written");
        let shown = locate(&file.to_string_lossy()).expect("a path");
        assert!(!shown.exists(), "two would fit: {}", shown.display());
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_utf_16_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.txt");
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("written");
            read_text(&path)
        };
        assert_eq!(read(b"\xef\xbb\xbflr: 1").expect("a text"), "lr: 1");
        assert_eq!(read("f\u{fc}r".as_bytes()).expect("a text"), "f\u{fc}r");
        assert!(read(b"\xff\xfel\0").is_err_and(|e| e.message().contains("UTF-16")));
        assert!(read(b"ab\xff").is_err_and(|e| e.message().contains("a.txt: is not text: byte 2")));
        assert!(read_text(dir.path()).is_err_and(|e| e.message().contains("is a folder")));
    }

    #[cfg(unix)]
    #[test]
    fn what_may_never_end_is_refused_before_it_is_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
        assert!(made.success());
        for endless in [pipe.as_path(), Path::new("/dev/zero")] {
            let error = read_text(endless).expect_err("it is not a file");
            assert!(error.message().contains("pipe or a device") && error.hint().is_some(), "{error}");
        }
        let huge = dir.path().join("huge.yaml");
        File::create(&huge).and_then(|file| file.set_len(1 << 40)).expect("a file with holes");
        assert!(read_text(&huge).is_err_and(|e| e.message().contains("longer than 256 MiB")));
    }
}
