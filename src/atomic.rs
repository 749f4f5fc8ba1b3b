//! Atomic writes: a file is replaced as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::is_handed_over;

/// The prefix of temporary files.
pub(crate) const FRESH: &str = ".etude-";

/// The most symbolic links that are followed, as on Linux.
const MOST_LINKS: usize = 40;

/// Writes `bytes` to `path` atomically: first to a temporary file in the same folder, then renamed over it, so that a
/// crash or a full disk neither leaves half a file nor loses the old one. Missing parent folders are made.
/// A link stays a link: what it points to is replaced. A pipe or a device is written into, never replaced.
///
/// # Errors
/// Names the path when the file system refuses, when a folder is there, and when nobody reads from the pipe.
///
/// ```
/// # let folder = tempfile::tempdir().expect("a folder");
/// let path = folder.path().join("settings.yaml");
/// etude::atomic::write(&path, b"lr: 1e-3")?;
/// assert_eq!(std::fs::read(&path).expect("written"), b"lr: 1e-3");
/// # Ok::<(), etude::Error>(())
/// ```
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let refused = |source| Error::io("cannot write", path, source);
    let target = place(path)?;
    if is_stream(&target) {
        return stream(&target).and_then(|mut to| to.write_all(bytes)).map_err(refused);
    }
    let mut file = beside(&target).map_err(refused)?;
    file.write_all(bytes).map_err(refused)?;
    keep(file, &target).map_err(refused)
}

/// [`write()`] for what another library writes to a path, and for what would not fit in memory: `fill` is given the path
/// of a file to write over.
///
/// # Errors
/// As [`write()`], and what `fill` fails with.
pub fn write_with(path: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    let refused = |source| Error::io("cannot write", path, source);
    let target = place(path)?;
    if is_stream(&target) {
        let whole = tempfile::NamedTempFile::new().map_err(refused)?;
        fill(whole.path()).map_err(refused)?;
        let pass_on = || io::copy(&mut File::open(whole.path())?, &mut stream(&target)?).map(drop);
        return pass_on().map_err(refused);
    }
    let file = beside(&target).map_err(refused)?;
    fill(file.path()).map_err(refused)?;
    keep(file, &target).map_err(refused)
}

/// The file to replace: symbolic links are followed, parent folders are made.
fn place(path: &Path) -> Result<PathBuf> {
    // The link /dev/stdout may lead to a pipe that has no name.
    if is_stream(path) {
        return Ok(path.to_path_buf());
    }
    let mut target = path.to_path_buf();
    let mut followed = 0;
    while let Ok(to) = fs::read_link(&target) {
        followed += 1;
        if followed > MOST_LINKS {
            return Err(Error::mistake(format!("{} is a link that leads nowhere but to links", path.display())));
        }
        target = target.parent().unwrap_or(Path::new("")).join(to);
    }
    if target.is_dir() {
        return Err(
            Error::mistake(format!("{} is a folder, not a file", path.display())).with_hint("name a file in it")
        );
    }
    let folder = folder_of(&target);
    if !folder.exists() {
        fs::create_dir_all(folder).map_err(|e| Error::io("cannot make the folder", folder, e))?;
    }
    Ok(target)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An empty temporary file in the folder of `target`, with the permissions of `target` or those of a new file.
fn beside(target: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(FRESH);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // A temporary file would be readable by its owner only.
        let permissions = target.metadata().map(|m| m.permissions());
        builder.permissions(permissions.unwrap_or(fs::Permissions::from_mode(0o666)));
    }
    builder.tempfile_in(folder_of(target))
}

/// Renames a temporary file to its final name and syncs the folder.
fn keep(file: tempfile::NamedTempFile, target: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(target).map_err(|e| e.error)?;
    // The new name itself must reach the disk; it is not an error when the folder cannot be opened for that.
    if let Ok(folder) = File::open(folder_of(target)) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Whether the path is a pipe or a device rather than a file, or the program's own output, which may be a file.
fn is_stream(path: &Path) -> bool {
    path.metadata().is_ok_and(|kind| !kind.is_file() && !kind.is_dir() || kind.is_file() && is_handed_over(path))
}

/// Opens a pipe or a device. Opening a pipe without a reader would block for ever; here it fails after ten seconds.
#[cfg(unix)]
fn stream(path: &Path) -> io::Result<File> {
    use std::os::fd::AsFd;
    use std::os::unix::fs::OpenOptionsExt;
    // A file that is opened anew has a place of its own, and what the program writes next would go over it.
    let own =
        |name: &str| ["/dev/", "/dev/fd/", "/proc/self/fd/"].iter().any(|folder| path == Path::new(folder).join(name));
    if own("stdout") || own("1") {
        return io::stdout().as_fd().try_clone_to_owned().map(File::from);
    }
    if own("stderr") || own("2") {
        return io::stderr().as_fd().try_clone_to_owned().map(File::from);
    }
    let no_wait = nix::fcntl::OFlag::O_NONBLOCK.bits();
    for _ in 0..200 {
        match OpenOptions::new().write(true).custom_flags(no_wait).open(path) {
            Err(e) if e.raw_os_error() == Some(nix::errno::Errno::ENXIO as i32) => {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            // A reader is there: opened again in blocking mode. A file that a shell has opened is written on at its end.
            Ok(_first) => return OpenOptions::new().append(true).open(path),
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads from this pipe"))
}

#[cfg(not(unix))]
fn stream(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
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
        assert_eq!(fs::read(&path).expect("read"), b"second");
        write_with(&path, |temporary| fs::write(temporary, b"third")).expect("written by another");
        assert_eq!(fs::read(&path).expect("read"), b"third");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn folders_are_made_and_what_stands_in_the_way_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("no/such/folder/a.txt");
        write(&deep, b"x").expect("written");
        assert_eq!(fs::read(&deep).expect("read"), b"x");
        let error = write(&deep.join("b.txt"), b"").expect_err("a file is not a folder");
        assert!(error.message().contains("a.txt") && !error.message().contains(FRESH), "{error}");
        let error = write(folder.path(), b"").expect_err("a folder is not a file");
        assert!(error.message().contains("is a folder"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn no_error_shows_the_name_of_a_temporary_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).expect("closed");
        // The superuser may write everywhere; then /proc is a folder that refuses.
        let closed = if File::create(folder.path().join("probe")).is_ok() { Path::new("/proc") } else { folder.path() };
        let error = write(&closed.join("a.txt"), b"").expect_err("it is closed");
        let message = error.to_string();
        assert!(message.contains("/a.txt: ") && !message.contains(FRESH) && !message.contains("at path"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_its_target_is_replaced() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("there")).expect("made");
        let (link, through) = (folder.path().join("link.mid"), folder.path().join("there/second"));
        symlink("there/second", &link).expect("a link");
        symlink("target.mid", &through).expect("a link to nothing yet");
        for bytes in [&b"new"[..], b"newer"] {
            write(&link, bytes).expect("written");
            assert!(link.is_symlink() && through.is_symlink());
            assert_eq!(fs::read(folder.path().join("there/target.mid")).expect("read"), bytes);
        }
        symlink("loop", folder.path().join("loop")).expect("a link to itself");
        assert!(write(&folder.path().join("loop"), b"").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_and_a_device_are_written_into() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there").success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).expect("read to the end")
        });
        let bytes = vec![7; 300_000]; // more than a pipe holds at once
        write(&pipe, &bytes).expect("somebody reads");
        assert_eq!(reader.join().expect("no panic"), bytes);
        assert!(!pipe.is_file(), "it is still a pipe");
        write(Path::new("/dev/null"), b"gone").expect("a device");
        write_with(Path::new("/dev/null"), |temporary| fs::write(temporary, b"gone")).expect("a device");
        assert!(is_stream(Path::new("/dev/null")));
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_it_as_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write(&ours, b"").expect("written");
        fs::write(&plain, b"").expect("written");
        let mode = |p: &Path| p.metadata().expect("there").permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
