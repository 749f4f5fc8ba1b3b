//! Sets up logging, filtered by `RUST_LOG`, to standard error, or to a file for the kernel. Nothing goes to standard
//! output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;

/// The size in bytes above which a log file is replaced when a kernel starts.
const LONGEST: u64 = 1 << 20;

/// Logs to standard error what `RUST_LOG` selects, as in `RUST_LOG=etude_kernel=debug`; nothing if it is not set.
pub(crate) fn to_stderr() {
    if let Ok(filter) = EnvFilter::try_from_default_env() {
        let ansi = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        // It fails only where a log is installed already.
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(io::stderr).try_init();
    }
}

/// Appends to a file what `RUST_LOG` selects; warnings and errors if it is not set. The file is created with the first
/// line. Used by the kernel, whose standard streams belong to the front end.
pub(crate) fn to_file(path: PathBuf) {
    if fs::metadata(&path).is_ok_and(|file| file.len() > LONGEST) {
        let _ = fs::remove_file(&path); // a log that cannot be shortened goes on
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let writer = move || -> Box<dyn Write> {
        match open(&path) {
            Ok(file) => Box::new(file),
            Err(_) => Box::new(io::sink()), // a log that cannot be written stops no kernel
        }
    };
    // It fails only where a log is installed already.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(writer).try_init();
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_and_its_folder_are_made_and_appended_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state/etude/kernel.log");
        for line in ["one\n", "two\n"] {
            open(&path).and_then(|mut file| file.write_all(line.as_bytes())).expect("it can be written");
        }
        assert_eq!(fs::read_to_string(path).expect("a text"), "one\ntwo\n");
    }
}
