//! Reads a folder of tracked runs, for comparison.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::run::{FILE, Record, read_record};
use super::sink::flatten_config;
use super::{Status, jsonl};
use crate::error::{Error, Result};

/// A recorded run.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// Eight letters and digits.
    pub id: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Seconds since 1970.
    pub began: f64,
    /// Its status; `None` while it runs, or when it was killed.
    pub status: Option<Status>,
    /// Its configuration, nested keys joined by dots.
    pub config: BTreeMap<String, String>,
    /// Each value by step.
    pub values: BTreeMap<String, BTreeMap<u64, f64>>,
}

/// The runs of a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Runs {
    /// The runs by start time.
    pub all: Vec<Summary>,
    /// Folders of unreadable runs, with the error.
    pub broken: Vec<(PathBuf, String)>,
}

impl Runs {
    /// Reads all runs in a folder, or the one run that the folder is.
    ///
    /// # Errors
    /// Names a folder that cannot be read, or one without runs.
    pub fn read(dir: &Path) -> Result<Self> {
        let mut runs = Self { all: Vec::new(), broken: Vec::new() };
        let mut folders = vec![dir.to_path_buf()];
        if !dir.join(FILE).exists() {
            let entries = fs::read_dir(dir).map_err(|e| Error::io("cannot read", dir, e))?;
            folders =
                entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join(FILE).exists()).collect();
            folders.sort();
        }
        for folder in folders {
            match read(&folder) {
                Ok(run) => runs.all.push(run),
                Err(error) => runs.broken.push((folder, error.to_string())),
            }
        }
        if runs.all.is_empty() && runs.broken.is_empty() {
            return Err(Error::mistake(format!("there are no runs in {}", dir.display()))
                .with_hint("run(\"name\") begins one, and so does a trainer that is tracked"));
        }
        runs.all.sort_by(|a, b| a.began.total_cmp(&b.began));
        Ok(runs)
    }

    /// The run with this name.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn get(&self, name: &str) -> Result<&Summary> {
        let names: Vec<&str> = self.all.iter().map(|run| run.name.as_str()).collect();
        self.all.iter().find(|run| run.name == name).ok_or_else(|| Error::unknown("run", name, &names))
    }
}

impl Summary {
    /// The last value of a name.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.values.get(name)?.values().next_back().copied()
    }

    /// The last step.
    pub fn step(&self) -> u64 {
        self.values.values().filter_map(|values| values.keys().next_back().copied()).max().unwrap_or(0)
    }
}

fn read(folder: &Path) -> Result<Summary> {
    let Record { name, id, config, began, status, .. } = read_record(folder)?;
    let path = folder.join(jsonl::FILE);
    let text = fs::read_to_string(&path).map_err(|e| Error::io("cannot read", &path, e))?;
    let mut values: BTreeMap<String, BTreeMap<u64, f64>> = BTreeMap::new();
    // The last line of a run that goes on, or was killed, may be half a line. Of a step that was done twice the later
    // values count.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Map<String, Value>>(line).ok());
    for line in lines {
        let Some(step) = line.get("step").and_then(Value::as_u64) else { continue };
        for (name, value) in line.iter().filter(|(name, _)| !["step", "time", "media"].contains(&name.as_str())) {
            let value = if value.is_null() { Some(f64::NAN) } else { value.as_f64() };
            if let Some(value) = value {
                values.entry(name.clone()).or_default().insert(step, value);
            }
        }
    }
    let config = flatten_config("", &config).into_iter().collect();
    Ok(Summary { name, id, folder: folder.to_path_buf(), began, status, config, values })
}
