//! Files that are there whole or not at all.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// How a file is called, at first, while it is written.
pub(crate) const FRESH: &str = ".etude-";

/// Writes `bytes` to `path`: first beside it under another name, then moved over it, so that a crash or a full disk
/// never leaves half a file, nor loses the one that was there.
///
/// # Errors
/// When the folder does not exist or the file system refuses.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let refused = |source| Error::io("cannot write", path, source);
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(FRESH);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What the file had before, or what any new file gets; a temporary file would be its owner's alone.
        let permissions = path.metadata().map(|m| m.permissions());
        builder.permissions(permissions.unwrap_or(std::fs::Permissions::from_mode(0o666)));
    }
    let mut file = builder.tempfile_in(folder).map_err(refused)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(refused)?;
    file.persist(path).map_err(|e| refused(e.error))?;
    // The new name itself must reach the disk; a folder that cannot be opened for that is no reason to fail.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        write(&path, b"a longer first text").expect("written");
        write(&path, b"second").expect("written again");
        assert_eq!(std::fs::read(&path).expect("read"), b"second");
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write(Path::new("no/such/folder/a.txt"), b"").expect_err("it is missing");
        assert!(error.message().starts_with("cannot write no/such/folder/a.txt: "), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_it_as_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write(&ours, b"").expect("written");
        std::fs::write(&plain, b"").expect("written");
        let mode = |p: &Path| p.metadata().expect("there").permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
