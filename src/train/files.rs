//! Files and folders that are either the old or the new, never half of one.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::{NamedTempFile, TempDir};

use crate::error::{Error, Result};

/// Makes a folder and those above it.
pub(super) fn make_folder(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io("cannot make the folder", dir, e))
}

/// Writes a file beside its place and moves it there.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |e| Error::io("cannot write", path, e);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(dir).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}

/// Writes a value as indented JSON.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write(path, &serde_json::to_vec_pretty(value).map_err(Error::internal)?)
}

/// Reads a value from JSON.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("cannot read", path, e))?;
    serde_json::from_slice(&bytes).map_err(|e| Error::broken(format!("{}: {e}", path.display())))
}

/// Fills a folder beside its place and moves it there, in the place of what stood there before.
pub(super) fn replace_folder(target: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(parent)?;
    let fail = |e| Error::io("cannot write", target, e);
    let fresh = TempDir::with_prefix_in(".writing-", parent).map_err(fail)?;
    readable(fresh.path()).map_err(fail)?;
    fill(fresh.path())?;
    // A folder cannot be renamed over another: the old one steps aside first, and goes with `aside`.
    let aside = TempDir::with_prefix_in(".old-", parent).map_err(fail)?;
    let old = aside.path().join("old");
    if target.exists() {
        std::fs::rename(target, &old).map_err(fail)?;
    }
    if let Err(error) = std::fs::rename(fresh.path(), target) {
        let _ = std::fs::rename(&old, target); // the first failure is the one to report
        return Err(fail(error));
    }
    let _ = fresh.keep(); // it is not at its temporary place any more
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(fail)
}

/// Gives a temporary folder, made for its owner only, the rights of an ordinary one.
#[cfg(unix)]
fn readable(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn readable(_: &Path) -> std::io::Result<()> {
    Ok(())
}
