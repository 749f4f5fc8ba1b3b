//! A run on disk.
//!
//! ```text
//! OUT/                      the model as the run left it, and tokenizer.json
//! OUT/best_model/           the model with the lowest held-out loss
//! OUT/checkpoint-N/         all that is needed to go on after step N:
//!     config.json …         the model, in the files of Model::save, adapter included
//!     tokenizer.json        how the ids were made
//!     optimizer.*           the moments, in the files of AdamW::save
//!     ema.safetensors       the running mean of the weights, if one is kept
//!     checksums.json        length and checksum of each of them, so that damage is noticed
//!     trainer_state.json    options, schedule, history, seeds and the place in the order of batches, what the data
//!                           were, the version of this file's format and of the program
//! OUT/diverged-N/           a checkpoint from which the run stopped learning, set aside
//! OUT/left-N/               a later one, when the run went on from an earlier one
//! OUT/damaged-N/            one that is not what was written
//! ```
//! Folders appear whole or not at all. All that is drawn (order of rows, dropout) is a function of the seed and of the
//! step, so seed, step and position are the whole random state. A run that begins anew in the folder of another replaces
//! its checkpoints.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::{DatasetOptions, Source, stored};
use crate::error::{Error, Result};
use crate::train::fingerprint::fingerprint;
use crate::train::{Schedule, Step, TrainOptions, Trainer, run_files};

pub(super) const STATE: &str = "trainer_state.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const PREFIX: &str = "checkpoint-";
const DIVERGED: &str = "diverged";

/// The version of [`TrainerState`]; a file with a higher one was written by a later program.
pub(super) const FORMAT: u32 = 1;

/// The state of a trainer besides model and optimizer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TrainerState {
    /// Version of the format.
    pub(super) format: u32,
    /// Version of the program that wrote it.
    pub(super) code_version: String,
    pub(super) step: u64,
    /// Batches taken, by all ranks.
    pub(super) position: u64,
    /// Ranks that took the steps together.
    #[serde(default = "one")]
    pub(super) world_size: usize,
    /// Seed of the order of batches and of dropout.
    pub(super) seed: u64,
    /// The learning-rate schedule, as the options give it.
    pub(super) schedule: Schedule,
    pub(super) options: TrainOptions,
    pub(super) data: DataOrigin,
    pub(super) history: Vec<Step>,
}

/// The number of ranks in checkpoints from before there were several.
fn one() -> usize {
    1
}

/// The origin of the data, for building them again and for noticing others.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DataOrigin {
    /// The folder of a saved dataset; else they were built from `sources`, or where those are empty from `files`.
    #[serde(with = "crate::forms::path")]
    pub(super) source: Option<PathBuf>,
    #[serde(default)]
    pub(super) sources: Vec<Source>,
    #[serde(with = "crate::forms::paths")]
    pub(super) files: Vec<PathBuf>,
    #[serde(deserialize_with = "stored")]
    pub(super) options: DatasetOptions,
    pub(super) rows: usize,
    pub(super) fingerprint: String,
}

impl Trainer {
    /// Writes the model and its tokenizer to the run's folder, with the running mean of the weights if one is kept.
    /// With several ranks the first one writes.
    ///
    /// # Errors
    /// Refuses a run without a folder.
    pub fn save(&self) -> Result<()> {
        let out = self.out()?;
        if !self.group.is_first() {
            return Ok(());
        }
        run_files::make_folder(out)?;
        self.averaged(|| self.save_model(out))
    }

    pub(super) fn save_best(&self) -> Result<()> {
        let best = self.out()?.join("best_model");
        self.averaged(|| run_files::replace_folder(&best, |dir| self.save_model(dir)))
    }

    /// Writes a checkpoint, and removes older ones beyond `save_total_limit`; gives its folder.
    pub(super) fn checkpoint(&mut self) -> Result<PathBuf> {
        let out = self.out()?;
        let earlier = checkpoints(out);
        let state = TrainerState {
            format: FORMAT,
            code_version: env!("CARGO_PKG_VERSION").into(),
            step: self.steps(),
            position: self.order.position(),
            world_size: self.group.world_size(),
            seed: self.options.seed,
            schedule: self.options.plan(),
            options: self.options.clone(),
            data: DataOrigin {
                source: self.data.source.clone(),
                sources: self.data.sources.clone(),
                files: self.data.files.clone(),
                options: self.data.options.clone(),
                rows: self.data.train.len(),
                fingerprint: self.fingerprint.get_or_init(|| fingerprint(&self.data)).clone(),
            },
            history: self.history.clone(),
        };
        let target = out.join(format!("{PREFIX}{}", self.steps()));
        let written = run_files::replace_folder(&target, |dir| {
            self.save_model(dir)?;
            self.optimizer.save(dir)?;
            if let Some(ema) = &self.ema {
                ema.save(dir, &self.parameters)?;
            }
            run_files::write_json(&dir.join(STATE), &state)?;
            run_files::write_sums(dir)
        });
        written.map_err(|e| keep_going(e, earlier.last()).context(format!("saving {}", target.display())))?;
        // Checkpoints of a replaced run are removed, and those after an earlier checkpoint that the run went back to.
        let stale = |(step, path): &(u64, PathBuf)| *path != target && (self.saved.is_none() || *step > self.steps());
        let (gone, ours): (Vec<_>, Vec<_>) = earlier.into_iter().partition(stale);
        let mut surplus: Vec<_> = ours.into_iter().filter(|(_, path)| *path != target).collect();
        let kept = self.options.save_total_limit.map_or(usize::MAX, |limit| limit - 1);
        surplus.truncate(surplus.len().saturating_sub(kept));
        gone.iter().chain(&surplus).try_for_each(|(_, path)| run_files::remove(path))?;
        self.saved = Some(self.steps());
        Ok(target)
    }

    /// The newest checkpoint in the folder of a run, if there is one; the folder itself if it is one.
    pub fn latest_checkpoint(out: &Path) -> Option<PathBuf> {
        if is_checkpoint(out) {
            return Some(out.to_path_buf());
        }
        checkpoints(out).pop().map(|(_, path)| path)
    }

    /// The files of an earlier run in a folder: its checkpoints, or what it wrote before the first; `None` without any.
    pub fn traces(out: &Path) -> Option<PathBuf> {
        let written = ["metrics.jsonl", "run.json", "settings.yaml", "best_model"];
        let written = || written.iter().map(|name| out.join(name)).find(|path| path.exists());
        Self::latest_checkpoint(out).or_else(written)
    }

    pub(super) fn out(&self) -> Result<&Path> {
        self.options.output_dir.as_deref().ok_or_else(|| {
            Error::mistake("this run has no folder to save to").with_hint("give the trainer one: out: \"my_run\"")
        })
    }

    fn save_model(&self, dir: &Path) -> Result<()> {
        self.model.save(dir)?;
        self.data.tokenizer.save(dir.join(TOKENIZER))
    }
}

/// Adds a hint to the error of a checkpoint that could not be written.
fn keep_going(error: Error, last: Option<&(u64, PathBuf)>) -> Error {
    let last = match last {
        Some((_, path)) => format!("{} is whole", path.display()),
        None => "there is no earlier checkpoint".into(),
    };
    error.with_hint(format!("make room, or name another output_dir; then go on with --resume, or fit() here; {last}"))
}

/// The checkpoints in a folder with their steps, the oldest first.
pub(super) fn checkpoints(out: &Path) -> Vec<(u64, PathBuf)> {
    let mut all = numbered(out);
    all.retain(|(_, path)| is_checkpoint(path));
    all
}

/// The folders named as checkpoints, with their steps, the oldest first; their files may be missing.
pub(super) fn numbered(out: &Path) -> Vec<(u64, PathBuf)> {
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| {
        let number: u64 = entry.file_name().to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
        entry.path().is_dir().then(|| (number, entry.path()))
    });
    let mut numbered: Vec<_> = numbered.collect();
    numbered.sort();
    numbered
}

/// Whether a folder is a checkpoint.
pub(super) fn is_checkpoint(dir: &Path) -> bool {
    dir.join(STATE).is_file()
}

/// Renames a checkpoint after which the run diverged, so that it is not resumed from.
pub(super) fn set_aside(checkpoint: &Path) -> Result<()> {
    run_files::rename_aside(checkpoint, DIVERGED).map(drop)
}
