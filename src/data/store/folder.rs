//! Atomic replacement of folders.

use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::meta::Sides;
use super::{ABOUT, SPLITS, STATE, TOKENIZER};
use crate::error::{Error, Result};
use crate::files::check_is_file;

/// Lets `fill` write a new folder next to `dir`, then renames it to `dir`.
pub(super) fn replace(dir: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    // A symbolic link stays one: its target is replaced.
    let dir = &dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    let old = fs::symlink_metadata(dir).is_ok();
    if old {
        only_a_dataset(dir)?;
    }
    let parent = match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|e| Error::io("cannot create", parent, e))?;
    let beside = tempfile::Builder::new().prefix(".dataset-").tempdir_in(parent);
    let beside = beside.map_err(|e| Error::io("cannot write in", parent, e))?;
    let new = beside.path().join("new");
    fs::create_dir(&new).map_err(|e| Error::io("cannot create", &new, e))?;
    fill(&new).map_err(|error| error.with_path(&new, dir))?;
    sync(&new)?;
    if old {
        let aside = beside.path().join("old");
        fs::rename(dir, &aside).map_err(|e| Error::io("cannot replace", dir, e))?;
        if let Err(e) = fs::rename(&new, dir) {
            // Best effort: the old dataset is moved back.
            let _ = fs::rename(&aside, dir);
            return Err(Error::io("cannot replace", dir, e));
        }
    } else {
        fs::rename(&new, dir).map_err(|e| Error::io("cannot write", dir, e))?;
    }
    sync(parent)
}

/// Writes a value as indented JSON.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(Error::internal)?;
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(&text)?;
        file.sync_all()
    };
    write().map_err(|e| Error::io("cannot write", path, e))
}

/// Reads a JSON file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    check_is_file(path)?;
    let file = File::open(path).map_err(|e| Error::io("cannot read", path, e))?;
    serde_json::from_reader(BufReader::new(file)).map_err(|e| Error::broken(format!("{}: {e}", path.display())))
}

/// Fails when the folder holds anything that a dataset does not have, so that a wrong path loses no files.
fn only_a_dataset(dir: &Path) -> Result<()> {
    let refused = |what: String| {
        Err(Error::mistake(format!("{} {what}, so it is not replaced", dir.display()))
            .with_hint("save to another path, or move what is there away"))
    };
    if !dir.is_dir() {
        return refused("is a file".into());
    }
    let names = names(dir)?;
    if !names.is_empty() && !names.iter().any(|name| name == SPLITS) {
        return refused(format!("is a folder without {SPLITS}"));
    }
    let splits = if names.is_empty() { Vec::new() } else { read_json::<Sides>(&dir.join(SPLITS))?.splits };
    for name in names {
        if splits.contains(&name) {
            let foreign = self::names(&dir.join(&name))?.into_iter().find(|file| !belongs_to_split(file));
            if let Some(file) = foreign {
                return refused(format!("holds {name}/{file}, which belongs to no dataset"));
            }
        } else if ![SPLITS, TOKENIZER, ABOUT].contains(&name.as_str()) {
            return refused(format!("holds {name}, which belongs to no dataset"));
        }
    }
    Ok(())
}

fn belongs_to_split(file: &str) -> bool {
    file == STATE || file == "dataset_info.json" || file.ends_with(".arrow")
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let read = || -> std::io::Result<Vec<String>> {
        fs::read_dir(dir)?.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect()
    };
    read().map_err(|e| Error::io("cannot read", dir, e))
}

/// Makes the names in a folder durable, where the system can.
fn sync(dir: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(dir).and_then(|f| f.sync_all()).map_err(|e| Error::io("cannot write", dir, e))?;
    }
    Ok(())
}
