//! A run on disk.
//!
//! ```text
//! OUT/                      the model as the run left it, and tokenizer.json
//! OUT/best_model/           the model with the lowest held-out loss
//! OUT/checkpoint-N/         all that is needed to go on after step N:
//!     config.json …         the model, in the files of Model::save
//!     tokenizer.json        how the ids were made
//!     optimizer.*           the moments, in the files of AdamW::save
//!     trainer_state.json    options, history, place in the order of batches, and what the data were
//! ```
//! Folders appear whole or not at all. A run that begins anew in the folder of another replaces its checkpoints.

use std::path::{Path, PathBuf};

use candle_core::Device;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::{Dataset, DatasetOptions};
use crate::error::{Error, Result};
use crate::nn::Model;
use crate::progress::Progress;
use crate::tokens::Tokenizer;
use crate::train::{Step, TrainOptions, Trainer, files};

const STATE: &str = "trainer_state.json";
const TOKENIZER: &str = "tokenizer.json";
const PREFIX: &str = "checkpoint-";

/// What a trainer is beside model and optimizer.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    step: u64,
    /// Batches taken.
    position: u64,
    options: TrainOptions,
    data: Origin,
    history: Vec<Step>,
}

/// What the data were, so that the same can be built again and others are noticed.
#[derive(Debug, Serialize, Deserialize)]
struct Origin {
    files: Vec<PathBuf>,
    options: DatasetOptions,
    rows: usize,
    fingerprint: String,
}

impl Trainer {
    /// Writes the model and its tokenizer to the run's folder.
    ///
    /// # Errors
    /// Refuses a run without a folder.
    pub fn save(&self) -> Result<()> {
        let out = self.out()?;
        files::make_folder(out)?;
        self.save_model(out)
    }

    pub(super) fn save_best(&self) -> Result<()> {
        files::replace_folder(&self.out()?.join("best_model"), |dir| self.save_model(dir))
    }

    /// Writes all that is needed to go on from here, and removes checkpoints beyond `save_total_limit`.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        let out = self.out()?;
        let earlier = checkpoints(out);
        let state = State {
            step: self.steps(),
            position: self.order.position(),
            options: self.options.clone(),
            data: Origin {
                files: self.data.files.clone(),
                options: self.data.options.clone(),
                rows: self.data.train.len(),
                fingerprint: self.fingerprint.get_or_init(|| fingerprint(&self.data)).clone(),
            },
            history: self.history.clone(),
        };
        let target = out.join(format!("{PREFIX}{}", self.steps()));
        files::replace_folder(&target, |dir| {
            self.save_model(dir)?;
            self.optimizer.save(dir)?;
            files::write_json(&dir.join(STATE), &state)
        })?;
        let mut earlier: Vec<PathBuf> = earlier.into_iter().filter(|path| *path != target).collect();
        if self.saved.is_some() {
            let kept = self.options.save_total_limit.map_or(usize::MAX, |limit| limit - 1);
            earlier.truncate(earlier.len().saturating_sub(kept));
        } // else they are those of a run that this one replaces
        remove(&earlier)?;
        self.saved = Some(self.steps());
        Ok(())
    }

    /// Goes on with a run from its last checkpoint; `dir` is the folder of the run or of one checkpoint.
    ///
    /// Without `data` they are built again from the same files. `overrides` is a map of training options that replace
    /// those of the run; the order of the batches cannot be changed. On the CPU the steps that follow are those of a run
    /// that never stopped, bit for bit.
    ///
    /// # Errors
    /// Names a folder without a checkpoint, an unknown option, and data that are not those of the run.
    pub fn resume(
        dir: &Path,
        data: Option<Dataset>,
        overrides: &Value,
        device: &Device,
        progress: &Progress,
    ) -> Result<Self> {
        let checkpoint = if dir.join(STATE).is_file() { Some(dir.to_path_buf()) } else { checkpoints(dir).pop() };
        let checkpoint = checkpoint.ok_or_else(|| {
            Error::mistake(format!("there is no checkpoint in {}", dir.display()))
                .with_hint(format!("name the `out` folder of a run, or one of its {PREFIX}N"))
        })?;
        let state: State = files::read_json(&checkpoint.join(STATE))?;
        let options = with_overrides(&state.options, overrides)?;
        let tokenizer = Tokenizer::load(checkpoint.join(TOKENIZER))?;
        let data = match data {
            Some(data) => data,
            None => Dataset::build(&state.data.files, tokenizer.into(), &state.data.options, progress)?,
        };
        if fingerprint(&data) != state.data.fingerprint {
            let message = format!("these are not the data of the run in {}", checkpoint.display());
            return Err(Error::mistake(message).with_hint(format!(
                "it had {} rows from {} files; give resume the same dataset",
                state.data.rows,
                state.data.files.len()
            )));
        }
        let model = Model::load(&checkpoint, device)?;
        let mut trainer = Self::new(model, data, options)?;
        trainer.optimizer.load(&checkpoint)?;
        trainer.order.seek(state.position);
        trainer.saved = Some(state.step);
        trainer.history = state.history;
        Ok(trainer)
    }

    /// The newest checkpoint in the folder of a run, if there is one.
    pub fn latest_checkpoint(out: &Path) -> Option<PathBuf> {
        checkpoints(out).pop()
    }

    fn out(&self) -> Result<&Path> {
        self.options.out.as_deref().ok_or_else(|| {
            Error::mistake("this run has no folder to save to").with_hint("give the trainer one: out: \"my_run\"")
        })
    }

    fn save_model(&self, dir: &Path) -> Result<()> {
        self.model.save(dir)?;
        self.data.tokenizer.save(dir.join(TOKENIZER))
    }
}

/// The checkpoints in a folder, the oldest first.
fn checkpoints(out: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| {
        let number: u64 = entry.file_name().to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
        entry.path().join(STATE).is_file().then(|| (number, entry.path()))
    });
    let mut numbered: Vec<_> = numbered.collect();
    numbered.sort();
    numbered.into_iter().map(|(_, path)| path).collect()
}

fn remove(folders: &[PathBuf]) -> Result<()> {
    folders.iter().try_for_each(|dir| std::fs::remove_dir_all(dir).map_err(|e| Error::io("cannot remove", dir, e)))
}

/// A number that other rows would hardly have (FNV-1a over the rows of both splits and their place).
fn fingerprint(data: &Dataset) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |value: u64| hash = (hash ^ value).wrapping_mul(0x0100_0000_01b3);
    for split in [&data.train, &data.val] {
        take(split.width() as u64);
        (0..split.len()).filter_map(|row| split.row(row)).flatten().for_each(|id| take(u64::from(id)));
    }
    format!("{hash:016x}")
}

/// Options with some of them replaced from a map.
fn with_overrides(options: &TrainOptions, overrides: &Value) -> Result<TrainOptions> {
    let none = serde_json::Map::new();
    let overrides = match overrides {
        Value::Null => &none,
        Value::Object(map) => map,
        other => return Err(Error::mistake(format!("the options of resume must be a map, not {other}"))),
    };
    let mut merged = serde_json::to_value(options).map_err(Error::internal)?;
    for (key, value) in overrides {
        let Some(place) = merged.get_mut(key) else {
            let known: Vec<&str> =
                merged.as_object().into_iter().flat_map(|map| map.keys()).map(String::as_str).collect();
            return Err(Error::unknown("option of resume", key, &known));
        };
        if ["seed", "batch_size", "gradient_accumulation_steps"].contains(&key.as_str()) && place != value {
            let message = format!("{key} cannot change in the middle of a run: it is {place}, not {value}");
            return Err(Error::mistake(message).with_hint("load the model and begin a new run"));
        }
        *place = value.clone();
    }
    serde_json::from_value(merged).map_err(|e| Error::mistake(format!("the options of resume: {e}")))
}
