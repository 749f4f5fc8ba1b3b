//! Locks of run folders: one run at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::error::{Error, Result};

/// The lock file; it contains the process id.
const LOCK: &str = ".train.lock";

/// The locks of this process: another run of it in the same folder shares the lock, since they take turns.
static HELD: Mutex<Vec<(PathBuf, Weak<LockFile>)>> = Mutex::new(Vec::new());

/// A lock on a run folder, held as long as it or a clone of it exists, and until the process ends.
#[derive(Debug, Clone)]
pub struct FolderLock {
    _file: Arc<LockFile>,
}

/// The locked file; `None` where the file system has no locks.
#[derive(Debug)]
struct LockFile(Option<(File, PathBuf)>);

impl Drop for LockFile {
    fn drop(&mut self) {
        // Removed while it is still locked: a process that finds it gone makes another.
        if let Some((_, path)) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl FolderLock {
    /// Locks an existing folder. Where the file system has no locks, or nothing can be written, there is no lock.
    ///
    /// # Errors
    /// When another process holds it.
    pub fn take(dir: &Path) -> Result<Self> {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(_, file)| file.strong_count() > 0);
        if let Some(file) = held.iter().find(|(known, _)| *known == dir).and_then(|(_, file)| file.upgrade()) {
            return Ok(Self { _file: file });
        }
        let file = Arc::new(lock(&dir)?);
        held.push((dir, Arc::downgrade(&file)));
        Ok(Self { _file: file })
    }
}

fn lock(dir: &Path) -> Result<LockFile> {
    let path = dir.join(LOCK);
    loop {
        let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let Ok(mut file) = opened else { return Ok(LockFile(None)) };
        match file.try_lock() {
            // Its last holder may have removed it in the meantime: then the lock is void.
            Ok(()) if !is_at(&file, &path) => {}
            Ok(()) => {
                // The process id is for people; the lock works without it.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                return Ok(LockFile(Some((file, path))));
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.rewind().and_then(|()| file.read_to_string(&mut holder).map(drop));
                let who = match holder.trim() {
                    "" => String::new(),
                    number => format!(" (process {number})"),
                };
                return Err(Error::mistake(format!("another run{who} is at work in {}", dir.display()))
                    .with_hint("wait until it ends, or name another output_dir"));
            }
            Err(TryLockError::Error(_)) => return Ok(LockFile(None)),
        }
    }
}

/// Whether a file is still the one of that name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = |kind: std::io::Result<std::fs::Metadata>| kind.map(|kind| (kind.dev(), kind.ino())).ok();
    inode(file.metadata()) == inode(path.metadata())
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_as_long_as_somebody_holds_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let ours = FolderLock::take(dir.path()).expect("it is free");
        let again = FolderLock::take(&dir.path().join(".")).expect("this process holds it");
        // Another process, through a handle of its own.
        let other = || lock(dir.path());
        let error = other().expect_err("it is held");
        let process = format!("process {}", std::process::id());
        assert!(error.message().contains("another run") && error.message().contains(&process), "{error}");
        drop(ours);
        assert!(other().is_err(), "a clone holds it");
        drop(again);
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0, "nothing is left");
        assert!(other().expect("it is free").0.is_some());
        assert!(FolderLock::take(Path::new("/no/such/folder")).is_ok(), "there is nothing to lock");
    }
}
