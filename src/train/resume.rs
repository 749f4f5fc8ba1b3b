//! Resuming a run from a checkpoint, and going back to one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use serde_json::Value;

use super::checkpoint::{DataOrigin, FORMAT, PREFIX, STATE, TOKENIZER, TrainerState, is_checkpoint, numbered};
use crate::data::{Dataset, DatasetOptions};
use crate::error::{Error, Result};
use crate::nn::Model;
use crate::progress::Progress;
use crate::tokens::Tokenizer;
use crate::train::fingerprint::fingerprint;
use crate::train::parallel::Group;
use crate::train::trainer::for_model;
use crate::train::{BatchSize, FolderLock, TrainOptions, Trainer, run_files};

/// The options that determine the order of the batches.
const FIXED: [&str; 4] = ["seed", "batch_size", "gradient_accumulation_steps", "global_batch_size"];

/// The description of a run in a checkpoint, without the weights.
#[derive(Debug)]
pub struct StoredRun {
    /// Its folder.
    pub checkpoint: PathBuf,
    /// The options of the run.
    pub options: TrainOptions,
    /// The options of its dataset.
    pub data: DatasetOptions,
    /// The folder of the saved dataset, if it was read from one.
    pub source: Option<PathBuf>,
    /// The MIDI files of the dataset, if it was built from files.
    pub files: Vec<PathBuf>,
}

impl StoredRun {
    /// Reads the checkpoint in `dir`, or the newest intact one of the run there.
    ///
    /// # Errors
    /// Names a folder without one, and a state that cannot be read.
    pub fn read(dir: &Path) -> Result<Self> {
        let (checkpoint, _) = newest(dir)?;
        let TrainerState { options, data, .. } = read(&checkpoint)?;
        Ok(Self { checkpoint, options, data: data.options, source: data.source, files: data.files })
    }
}

impl Trainer {
    /// Resumes a run on a single rank; see [`Trainer::resume_in_group`].
    ///
    /// # Errors
    /// See [`Trainer::resume_in_group`].
    pub fn resume(
        dir: &Path,
        data: Option<Dataset>,
        overrides: &Value,
        device: &Device,
        progress: &Progress,
    ) -> Result<Self> {
        Self::resume_in_group(&Group::single(), dir, data, overrides, device, progress)
    }

    /// Resumes a run from its last checkpoint; `dir` is the folder of the run or of one checkpoint.
    ///
    /// Without `data` the dataset is built again from the same files, or read from the folder it was saved in.
    /// `overrides` is a map of training options that replace those of the run; the order of the batches cannot be
    /// changed. On the CPU the steps that follow are those of an uninterrupted run, bit for bit.
    ///
    /// The number of ranks may change, as long as they can share the rows of a step: then `gradient_accumulation_steps`
    /// changes with it. Every rank reads `dir`.
    ///
    /// # Errors
    /// Names a folder without a checkpoint, an unknown option, and data that are gone or not those of the run.
    pub fn resume_in_group(
        group: &Arc<Group>,
        dir: &Path,
        data: Option<Dataset>,
        overrides: &Value,
        device: &Device,
        progress: &Progress,
    ) -> Result<Self> {
        let resumed = find(dir, group).and_then(|(checkpoint, damaged)| {
            let mut trainer = Self::from_checkpoint(group, &checkpoint, data, overrides, device, progress)?;
            trainer.notes.splice(0..0, damaged);
            Ok(trainer)
        });
        resumed.inspect_err(|error| group.fail(error.message()))
    }

    fn from_checkpoint(
        group: &Arc<Group>,
        checkpoint: &Path,
        data: Option<Dataset>,
        overrides: &Value,
        device: &Device,
        progress: &Progress,
    ) -> Result<Self> {
        let state = read(checkpoint)?;
        let mut options = with_overrides(&state.options, overrides)?;
        share_again(&state, group.world_size(), &mut options)?;
        if overrides.get("output_dir").or(overrides.get("out")).is_none() {
            // The folder may have been moved, or have another name here.
            options.output_dir = checkpoint.parent().map(Path::to_path_buf);
        }
        let data = match data {
            Some(data) => data,
            None => again(&state.data, checkpoint, progress)
                .map_err(|e| e.context(format!("the data of the run in {}", checkpoint.display())))?,
        };
        let model = Model::load(checkpoint, device)?;
        let data = for_model(&model, data)?;
        if fingerprint(&data) != state.data.fingerprint {
            let message = format!("these are not the data of the run in {}", checkpoint.display());
            return Err(Error::mistake(message).with_hint(format!(
                "it had {} rows from {} files; give resume the same dataset",
                state.data.rows,
                state.data.files.len()
            )));
        }
        group.agree("checkpoint", &state.step.to_le_bytes())?;
        let mut trainer = Self::in_group(group.clone(), model, data, options)?;
        trainer.take_state(checkpoint, state)?;
        Ok(trainer)
    }

    /// Goes back to a checkpoint of this run: weights, moments, history, position.
    pub(super) fn back_to(&mut self, checkpoint: &Path) -> Result<()> {
        let state = read(checkpoint)?;
        let stored = Model::load(checkpoint, self.model.device())?.parameters();
        for (ours, theirs) in self.parameters.iter().zip(&stored) {
            if ours.name != theirs.name {
                return Err(Error::broken(format!("{}: {} is missing", checkpoint.display(), ours.name)));
            }
            ours.var.set(&theirs.var.as_detached_tensor())?;
        }
        self.take_state(checkpoint, state)
    }

    fn take_state(&mut self, checkpoint: &Path, state: TrainerState) -> Result<()> {
        self.optimizer.load(checkpoint)?;
        if let Some(ema) = self.ema.as_mut().filter(|_| state.options.ema > 0.0) {
            ema.load(checkpoint, &self.parameters)?;
        }
        self.order.seek(state.position);
        self.saved = Some(state.step);
        self.history = state.history;
        Ok(())
    }
}

/// Distributes the rows of a step of the checkpoint over `ranks` ranks.
fn share_again(state: &TrainerState, ranks: usize, options: &mut TrainOptions) -> Result<()> {
    let BatchSize::Rows(rows) = options.batch_size else { return Ok(()) };
    let before = state.world_size * options.gradient_accumulation_steps;
    if !before.is_multiple_of(ranks) {
        let step = before * rows;
        return Err(Error::mistake(format!(
            "the run takes {step} rows a step, {rows} at a time, on {} ranks",
            state.world_size
        ))
        .with_hint(format!("{ranks} ranks cannot share them: go on with a number that divides {before}")));
    }
    options.gradient_accumulation_steps = before / ranks;
    Ok(())
}

/// [`newest`] after cleaning up what a killed run left unfinished.
fn find(dir: &Path, group: &Group) -> Result<(PathBuf, Vec<String>)> {
    if group.is_first() && dir.is_dir() && !is_checkpoint(dir) {
        // A running trainer has unfinished folders of its own.
        let _lock = FolderLock::take(dir)?;
        run_files::mend(dir);
    }
    group.barrier()?; // nobody reads while the folder is put in order
    newest(dir)
}

/// The checkpoint in a folder, or the newest intact one of the run there; and a note for each damaged one.
fn newest(dir: &Path) -> Result<(PathBuf, Vec<String>)> {
    if is_checkpoint(dir) {
        return match run_files::damage(dir) {
            None => Ok((dir.to_path_buf(), Vec::new())),
            Some((file, why)) => Err(Error::broken(format!("{} {why}", file.display()))
                .with_hint("an earlier checkpoint may be whole: name its folder, or that of the run")),
        };
    }
    let mut damaged: Vec<String> = Vec::new();
    for (_, checkpoint) in numbered(dir).into_iter().rev() {
        let name = checkpoint.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match run_files::damage(&checkpoint) {
            None if is_checkpoint(&checkpoint) => {
                damaged.iter_mut().for_each(|message| *message += &format!("; the run goes on from {name}"));
                return Ok((checkpoint, damaged));
            }
            None => {} // something of another's
            Some((file, why)) => {
                let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                damaged.push(format!("{name} is damaged: {file} {why}"));
            }
        }
    }
    let none = match damaged.is_empty() {
        true => format!("there is no checkpoint in {}", dir.display()),
        false => format!("there is no whole checkpoint in {}: {}", dir.display(), damaged.join(", ")),
    };
    Err(Error::mistake(none).with_hint(format!("name the `out` folder of a run, or one of its {PREFIX}N")))
}

fn read(checkpoint: &Path) -> Result<TrainerState> {
    let path = checkpoint.join(STATE);
    let state: Value = run_files::read_json(&path)?;
    let format = state.get("format").and_then(Value::as_u64).unwrap_or(0);
    if format != u64::from(FORMAT) {
        let writer = state.get("code_version").and_then(Value::as_str).unwrap_or("an unknown version");
        return Err(Error::broken(format!("{} has format {format}, this program reads {FORMAT}", path.display()))
            .with_hint(format!("it was written by etude {writer}: go on with that")));
    }
    serde_json::from_value(state).map_err(|e| {
        Error::broken(format!("{}: {e}", path.display()))
            .with_hint("an earlier checkpoint may be whole: name its folder")
    })
}

/// Builds or reads the data of a run again.
fn again(origin: &DataOrigin, checkpoint: &Path, progress: &Progress) -> Result<Dataset> {
    if let Some(source) = &origin.source {
        return Dataset::load(source);
    }
    let tokenizer = Tokenizer::load(checkpoint.join(TOKENIZER))?;
    match origin.sources.is_empty() {
        true => Dataset::build(&origin.files, tokenizer.into(), &origin.options, progress),
        false => Dataset::build_from(&origin.sources, tokenizer.into(), &origin.options, progress),
    }
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
        let key = if key == "out" { "output_dir" } else { key };
        if key == "batch_size" && value == "auto" {
            continue; // it was found when the run began
        }
        let Some(place) = merged.get_mut(key) else {
            let known: Vec<&str> =
                merged.as_object().into_iter().flat_map(|map| map.keys()).map(String::as_str).collect();
            return Err(Error::unknown("option of resume", key, &known));
        };
        if FIXED.contains(&key) && place != value {
            let message = format!("{key} cannot change in the middle of a run: it is {place}, not {value}");
            return Err(Error::mistake(message).with_hint("load the model and begin a new run"));
        }
        *place = value.clone();
    }
    serde_json::from_value(merged).map_err(|e| Error::mistake(format!("the options of resume: {e}")))
}
