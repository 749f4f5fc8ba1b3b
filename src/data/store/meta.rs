//! The JSON files of a saved dataset.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::{Dataset, DatasetOptions, Packing, SkippedFile, Split, stored};
use crate::error::{Error, Result};
use crate::tokens::Tokenizer;

/// `dataset_dict.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sides {
    /// The folders of the splits.
    pub(super) splits: Vec<String>,
}

/// The part of `state.json` with the places of the rows.
#[derive(Debug, Deserialize)]
pub(super) struct SplitState {
    #[serde(rename = "_data_files")]
    data_files: Vec<DataFile>,
}

#[derive(Debug, Deserialize)]
struct DataFile {
    filename: PathBuf,
}

impl SplitState {
    /// The Arrow files, in order.
    pub(super) fn files(self) -> impl Iterator<Item = PathBuf> {
        self.data_files.into_iter().map(|f| f.filename)
    }
}

/// `state.json` of a split in one file. `datasets` needs all seven keys; the fingerprint names its caches.
pub(super) fn state(file: &str, fingerprint: u64) -> Value {
    json!({
        "_data_files": [{ "filename": file }],
        "_fingerprint": format!("{fingerprint:016x}"),
        "_format_columns": null,
        "_format_kwargs": {},
        "_format_type": null,
        "_output_all_columns": false,
        "_split": null,
    })
}

/// `dataset_info.json`: one column, `input_ids`.
pub(super) fn info() -> Value {
    json!({
        "citation": "",
        "description": "",
        "features": {
            "input_ids": { "feature": { "dtype": "int32", "_type": "Value" }, "_type": "List" }
        },
        "homepage": "",
        "license": "",
    })
}

/// `etude.json`: properties without a place in the `datasets` layout. Paths that are not UTF-8 are stored as bytes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct About {
    /// The options it was built with.
    options: Option<StoredOptions>,
    /// Rows of the two splits, to detect truncated files.
    rows: Option<[usize; 2]>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    val_files: Vec<String>,
    #[serde(default)]
    broken: Vec<Skipped>,
}

/// Options of a dataset that was saved.
#[derive(Debug, Serialize, Deserialize)]
struct StoredOptions(#[serde(deserialize_with = "stored")] DatasetOptions);

#[derive(Debug, Serialize, Deserialize)]
struct Skipped {
    path: String,
    reason: String,
}

impl About {
    /// The properties of a dataset.
    pub(super) fn of(data: &Dataset) -> Self {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        Self {
            options: Some(StoredOptions(data.options.clone())),
            rows: Some([data.train.len(), data.val.len()]),
            files: data.files.iter().map(text).collect(),
            val_files: data.val_files.iter().map(text).collect(),
            broken: data.broken.iter().map(|b| Skipped { path: text(&b.path), reason: b.reason.clone() }).collect(),
        }
    }

    /// Fails when the number of rows read is not that written.
    pub(super) fn check_rows(&self, file: &Path, read: [usize; 2]) -> Result<()> {
        match self.rows {
            Some(rows) if rows != read => Err(Error::broken(format!(
                "{} states {} and {} rows, but the Arrow files hold {} and {}",
                file.display(),
                rows[0],
                rows[1],
                read[0],
                read[1]
            ))
            .with_hint("a file was cut short or exchanged; if you changed the rows yourself, delete etude.json")),
            _ => Ok(()),
        }
    }

    /// The dataset of these rows.
    pub(super) fn dataset(self, train: Split, val: Split, tokenizer: Arc<Tokenizer>) -> Dataset {
        let paths = |list: Vec<String>| list.into_iter().map(PathBuf::from).collect();
        let broken = self.broken.into_iter().map(|b| SkippedFile { path: b.path.into(), reason: b.reason });
        let options = self.options.map_or_else(
            || DatasetOptions { max_seq_len: train.width(), packing: Packing::Joined, ..DatasetOptions::default() },
            |stored| stored.0,
        );
        Dataset {
            train: train.with_packing(options.packing),
            val: val.with_packing(options.packing),
            files: paths(self.files),
            val_files: paths(self.val_files),
            broken: broken.collect(),
            tokenizer,
            options,
            sources: Vec::new(),
            source: None,
        }
    }
}
