//! Files and folders that are either the old or the new, never half of one.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use candle_core::Tensor;
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::{NamedTempFile, TempDir};

use crate::atomic;
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
    write(path, &safetensors::serialize(views, Some(format)).map_err(Error::internal)?)
}

/// What a folder is called while it is written.
const FRESH: &str = ".writing-";
/// What the folder that stood there is called while the new one takes its place: this and its name.
const ASIDE: &str = ".replaced-";

/// Fills a folder beside its place and moves it there, in the place of what stood there before. Wherever this is cut
/// short, [`mend`] brings the old folder or the new one back.
pub(super) fn replace_folder(target: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(parent)?;
    let fail = |e| Error::io("cannot write", target, e);
    let fresh = TempDir::with_prefix_in(FRESH, parent).map_err(fail)?;
    readable(fresh.path()).map_err(fail)?;
    fill(fresh.path())?;
    let sync = |dir: &Path| File::open(dir).and_then(|dir| dir.sync_all()).map_err(fail);
    sync(fresh.path())?;
    // A folder cannot be renamed over another: the old one steps aside first.
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

/// Clears away what a run that was killed left half done in its folder, and puts back what had stepped aside.
pub(super) fn mend(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        // What cannot be moved or removed does no harm where it is.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn put(target: &Path, text: &str) -> Result<()> {
        replace_folder(target, |dir| write(&dir.join("a.txt"), text.as_bytes()))
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
            write(&fresh.join("a.txt"), b"third")?;
            Err(Error::io("cannot write", fresh, std::io::ErrorKind::StorageFull.into()))
        });
        assert!(full.is_err_and(|e| e.message().contains("no storage space")));
        assert_eq!((text(&target), names(dir.path())), ("second".into(), vec!["best".to_string()]));
    }

    #[test]
    fn what_was_cut_short_is_mended() {
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
