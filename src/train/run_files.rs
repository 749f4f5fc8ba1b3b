//! Atomic writing of files and folders of a run, with checksums.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use safetensors::tensor::{Dtype, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempDir};

use crate::atomic;
use crate::error::{Error, Result};

/// Makes a folder and those above it.
pub(super) fn make_folder(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io("cannot make the folder", dir, e))
}

/// Writes a value as indented JSON.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    atomic::write(path, &serde_json::to_vec_pretty(value).map_err(Error::internal)?)
}

/// Reads a value from JSON.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("cannot read", path, e))?;
    serde_json::from_slice(&bytes).map_err(|e| Error::broken(format!("{}: {e}", path.display())))
}

/// Writes float tensors under their names.
pub(super) fn write_tensors<'a>(path: &Path, tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> Result<()> {
    let stored = tensors.map(|(name, tensor)| {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        Ok((name, tensor.dims().to_vec(), values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()))
    });
    let stored = stored.collect::<Result<Vec<_>>>()?;
    let views = stored.iter().map(|(name, shape, bytes)| {
        Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(Error::internal)?))
    });
    let format = HashMap::from([("format".to_string(), "pt".to_string())]);
    let views = views.collect::<Result<Vec<_>>>()?;
    atomic::write(path, &safetensors::serialize(views, Some(format)).map_err(Error::internal)?)
}

/// The file with the checksums of the other files of a folder.
const SUMS: &str = "checksums.json";

/// Length and checksum of a file, to detect damage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileSum {
    bytes: u64,
    /// CRC-32 of its bytes, as in zip and PNG (IEEE 802.3), in hexadecimal.
    crc32: String,
}

/// Writes the length and the checksum of every file in a folder.
pub(super) fn write_sums(dir: &Path) -> Result<()> {
    let entries = std::fs::read_dir(dir).map_err(|e| Error::io("cannot read", dir, e))?;
    let mut sums = BTreeMap::new();
    for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
        sums.insert(entry.file_name().to_string_lossy().into_owned(), sum(&entry.path())?);
    }
    write_json(&dir.join(SUMS), &sums)
}

/// The first damaged file of a folder, and what is wrong with it. Folders without checksums, from earlier programs, are
/// not checked.
pub(super) fn damage(dir: &Path) -> Option<(PathBuf, String)> {
    let sums = dir.join(SUMS);
    if !sums.exists() {
        return None;
    }
    let known: BTreeMap<String, FileSum> = match read_json(&sums) {
        Ok(known) => known,
        Err(_) => return Some((sums, "cannot be read".into())),
    };
    known.into_iter().find_map(|(name, written)| {
        let path = dir.join(&name);
        let why = match sum(&path) {
            Ok(now) if now == written => return None,
            Ok(now) if now.bytes != written.bytes => {
                format!("has {} bytes, {} were written", now.bytes, written.bytes)
            }
            Ok(_) => "holds other bytes than were written".into(),
            Err(_) => "is missing or cannot be read".into(),
        };
        Some((path, why))
    })
}

fn sum(path: &Path) -> Result<FileSum> {
    let fail = |e| Error::io("cannot read", path, e);
    let mut file = File::open(path).map_err(fail)?;
    let (mut crc, mut bytes, mut part) = (crc32fast::Hasher::new(), 0, vec![0; 1 << 20]);
    loop {
        match file.read(&mut part).map_err(fail)? {
            0 => return Ok(FileSum { bytes, crc32: format!("{:08x}", crc.finalize()) }),
            n => {
                crc.update(&part[..n]);
                bytes += n as u64;
            }
        }
    }
}

/// Renames a folder to a free name that begins with `word`: `checkpoint-60` becomes `word-60`, or `word-60-2`.
pub(super) fn rename_aside(dir: &Path, word: &str) -> Result<PathBuf> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let number = name.rsplit('-').next().unwrap_or_default();
    let names = (1..).map(|n| if n == 1 { format!("{word}-{number}") } else { format!("{word}-{number}-{n}") });
    let mut free = names.map(|name| dir.with_file_name(name)).filter(|path| !path.exists());
    let aside = free.next().unwrap_or_else(|| dir.to_path_buf());
    std::fs::rename(dir, &aside).map_err(|e| Error::io("cannot move", dir, e))?;
    Ok(aside)
}

/// The name of a folder while it is written.
const FRESH: &str = ".writing-";
/// The prefix of a replaced folder's name while the new one takes its place.
const ASIDE: &str = ".replaced-";

/// Writes a folder under another name and renames it to `target`, in place of an existing one. After an interruption
/// [`mend`] restores the old folder or the new one.
pub(super) fn replace_folder(target: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(parent)?;
    let fail = |e| Error::io("cannot write", target, e);
    let fresh = TempDir::with_prefix_in(FRESH, parent).map_err(fail)?;
    readable(fresh.path()).map_err(fail)?;
    fill(fresh.path()).map_err(|error| error.with_path(fresh.path(), target))?;
    let sync = |dir: &Path| File::open(dir).and_then(|dir| dir.sync_all()).map_err(fail);
    sync(fresh.path())?;
    // A folder cannot be renamed over another: the old one is renamed first.
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let aside = parent.join(format!("{ASIDE}{name}"));
    if target.exists() {
        remove(&aside)?;
        std::fs::rename(target, &aside).map_err(fail)?;
    }
    if let Err(error) = std::fs::rename(fresh.path(), target) {
        let _ = std::fs::rename(&aside, target); // the first failure is the one to report
        return Err(fail(error));
    }
    let _ = fresh.keep(); // it is not at its temporary place any more
    sync(parent)?;
    remove(&aside)
}

/// Removes what a killed run left unfinished in its folder, and restores replaced folders.
pub(super) fn mend(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        // Failures leave the folder as it is, without harm.
        if let Some(name) = name.strip_prefix(ASIDE) {
            let target = parent.join(name);
            let _ = if target.exists() { std::fs::remove_dir_all(path) } else { std::fs::rename(path, target) };
        } else if name.starts_with(FRESH) {
            let _ = std::fs::remove_dir_all(path);
        } else if name.starts_with(atomic::FRESH) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes a folder that may not be there.
pub(super) fn remove(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("cannot remove", dir, e)),
        _ => Ok(()),
    }
}

/// Fails when nothing can be written into a folder, which is made if it is not there.
pub(super) fn check_writable(dir: &Path) -> Result<()> {
    make_folder(dir)?;
    match NamedTempFile::new_in(dir) {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::io("cannot write in", dir, e).with_hint("name another folder: output_dir")),
    }
}

/// Gives a temporary folder, made for its owner only, ordinary permissions.
#[cfg(unix)]
fn readable(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn readable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(target: &Path, text: &str) -> Result<()> {
        replace_folder(target, |dir| atomic::write(&dir.join("a.txt"), text.as_bytes()))
    }

    fn text(target: &Path) -> String {
        std::fs::read_to_string(target.join("a.txt")).expect("it is there")
    }

    fn names(dir: &Path) -> Vec<String> {
        let names = std::fs::read_dir(dir).expect("listed").map(|e| e.expect("an entry").file_name());
        names.map(|name| name.into_string().expect("ASCII")).collect()
    }

    #[test]
    fn a_folder_is_replaced_whole_and_a_failure_leaves_the_old_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let target = dir.path().join("best");
        put(&target, "first").expect("written");
        put(&target, "second").expect("written again");
        assert_eq!((text(&target), names(dir.path())), ("second".into(), vec!["best".to_string()]));
        let full = replace_folder(&target, |fresh| {
            atomic::write(&fresh.join("a.txt"), b"third")?;
            Err(Error::io("cannot write", fresh.join("b.txt"), std::io::ErrorKind::StorageFull.into()))
        });
        let message = full.expect_err("no room").to_string();
        assert!(message.contains("best/b.txt: no storage space") && !message.contains(FRESH), "{message}");
        assert_eq!((text(&target), names(dir.path())), ("second".into(), vec!["best".to_string()]));
    }

    #[test]
    fn a_file_that_was_cut_flipped_or_lost_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.bin");
        let written: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
        assert_eq!(damage(dir.path()), None, "no sums are known");
        std::fs::write(&path, &written).expect("written");
        std::fs::write(dir.path().join("b.json"), b"{}").expect("written");
        write_sums(dir.path()).expect("they can be read");
        assert_eq!(damage(dir.path()), None);
        for (place, bit) in [(0, 1), (1 << 20, 128), (written.len() - 1, 4)] {
            let mut flipped = written.clone();
            flipped[place] ^= bit;
            std::fs::write(&path, flipped).expect("written");
            assert!(damage(dir.path()).is_some_and(|(file, why)| file == path && why.contains("other bytes")));
        }
        std::fs::write(&path, &written[..100]).expect("written");
        assert!(damage(dir.path()).is_some_and(|(_, why)| why == "has 100 bytes, 3145728 were written"));
        std::fs::remove_file(&path).expect("removed");
        assert!(damage(dir.path()).is_some_and(|(_, why)| why.contains("missing")));
        std::fs::write(dir.path().join(SUMS), b"{").expect("written");
        assert!(damage(dir.path()).is_some_and(|(file, _)| file.ends_with(SUMS)));
    }

    #[test]
    fn what_was_cut_short_is_repaired() {
        let dir = tempfile::tempdir().expect("a folder");
        put(&dir.path().join(".writing-abc"), "half").expect("written");
        put(&dir.path().join(".replaced-best"), "old").expect("written");
        put(&dir.path().join(".replaced-last"), "old").expect("written");
        put(&dir.path().join("last"), "new").expect("written");
        mend(dir.path());
        let mut left = names(dir.path());
        left.sort();
        assert_eq!(left, ["best", "last"]);
        assert_eq!((text(&dir.path().join("best")), text(&dir.path().join("last"))), ("old".into(), "new".into()));
    }
}
