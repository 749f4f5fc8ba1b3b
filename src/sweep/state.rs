//! A sweep that goes on: the trials so far, in a file that is there whole or not at all.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{Impute, SearchMethod, SweepConfig};
use super::draw::{self, Past};
use super::grid::Grid;
use super::hyperband::Course;
use super::trial::{Standing, Trial};
use crate::atomic;
use crate::error::{Error, Result};

/// The file in the folder of a sweep.
const FILE: &str = "sweep.json";
/// Held by the program that runs the sweep.
const LOCK: &str = ".sweep.lock";
/// The version of the file.
const FORMAT: u32 = 1;
/// The parts of a sweep that its trials follow from.
const FIXED: [&str; 3] = ["method", "metric", "parameters"];

/// A sweep and its trials.
#[derive(Debug)]
pub struct Sweep {
    config: SweepConfig,
    /// The map it was read from.
    source: Value,
    seed: u64,
    trials: Vec<Trial>,
    folder: Option<PathBuf>,
    /// Open as long as the sweep is, so that no second program runs it.
    _lock: Option<File>,
}

#[derive(Serialize, Deserialize)]
struct StoredSweep {
    format: u32,
    seed: u64,
    config: Value,
    trials: Vec<Trial>,
}

impl Sweep {
    /// A sweep that is kept nowhere.
    ///
    /// # Errors
    /// See [`SweepConfig::parse`].
    pub fn new(source: Value, seed: u64) -> Result<Self> {
        let config = SweepConfig::parse(&source)?;
        Ok(Self { config, source, seed, trials: Vec::new(), folder: None, _lock: None })
    }

    /// A sweep in a folder, or the one that is there already: its trials are kept, and those that were interrupted or
    /// failed come again. The seed is that of its beginning.
    ///
    /// # Errors
    /// See [`SweepConfig::parse`]; a folder that cannot be written, that another program is at work in, or that holds
    /// another sweep.
    pub fn open(source: Value, seed: u64, folder: &Path) -> Result<Self> {
        let mut sweep = Self::new(source, seed)?;
        std::fs::create_dir_all(folder).map_err(|e| Error::io("cannot make the folder", folder, e))?;
        sweep._lock = Some(lock(folder)?);
        let path = folder.join(FILE);
        if path.exists() {
            let stored = read(&path)?;
            if let Some(key) = FIXED.iter().find(|key| stored.config.get(key) != sweep.source.get(key)) {
                let message = format!("{} holds a sweep with other {key}", folder.display());
                return Err(Error::mistake(message).with_hint("name another folder, or go on with what it began with"));
            }
            sweep.seed = stored.seed;
            sweep.trials = stored.trials;
            let again = |trial: &&mut Trial| !trial.standing.is_over() || trial.standing == Standing::Failed;
            for trial in sweep.trials.iter_mut().filter(again) {
                trial.standing = Standing::Interrupted;
            }
        }
        sweep.folder = Some(folder.to_path_buf());
        sweep.save()?;
        Ok(sweep)
    }

    /// What it searches, and how.
    pub fn config(&self) -> &SweepConfig {
        &self.config
    }

    /// Its trials, by number.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The trial of a number.
    pub fn trial(&self, number: u64) -> Option<&Trial> {
        self.trials.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// Its folder, when it has one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// How many trials there will be in all, where that is known.
    pub fn total(&self) -> Option<u64> {
        let grid = (self.config.method == SearchMethod::Grid).then(|| Grid::new(&self.config.space).ok()).flatten();
        [grid.map(|grid| grid.size()), self.config.run_cap].into_iter().flatten().min()
    }

    /// The next trial, under way from now on: one that was interrupted, or a new one. None when there is nothing left to
    /// try, `run_cap` is reached, or a trial has reached the target.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn next_trial(&mut self) -> Result<Option<Trial>> {
        if self.is_on_target() {
            return Ok(None);
        }
        let interrupted = self.trials.iter_mut().find(|trial| trial.standing == Standing::Interrupted);
        let trial = match interrupted {
            Some(trial) => {
                trial.standing = Standing::Running;
                trial.values.clear();
                trial.note.clear();
                trial.clone()
            }
            None => match self.new_trial()? {
                Some(trial) => {
                    self.trials.push(trial.clone());
                    trial
                }
                None => return Ok(None),
            },
        };
        self.save()?;
        Ok(Some(trial))
    }

    fn new_trial(&self) -> Result<Option<Trial>> {
        let number = self.trials.len() as u64 + 1;
        if self.config.run_cap.is_some_and(|cap| number > cap) {
            return Ok(None);
        }
        let space = &self.config.space;
        let (params, places) = match self.config.method {
            SearchMethod::Grid => match Grid::new(space)?.point(number - 1) {
                Some(point) => (space.assemble(point), Vec::new()),
                None => return Ok(None),
            },
            SearchMethod::Random => {
                let places = draw::random(space, self.seed, number);
                (space.at(&places), places)
            }
            SearchMethod::Bayes => {
                let places = draw::bayes(space, self.seed, number, &self.past())?;
                (space.at(&places), places)
            }
        };
        let (standing, values, note) = (Standing::Running, Vec::new(), String::new());
        Ok(Some(Trial { number, params, places, standing, values, note }))
    }

    /// What `bayes` goes by: places and costs.
    fn past(&self) -> Vec<Past<'_>> {
        let worst = self.trials.iter().filter_map(|trial| self.cost_of(trial)).fold(0.0, f64::max);
        let impute = self.config.metric.as_ref().map(|metric| metric.impute);
        let cost = |trial: &Trial| match trial.standing {
            Standing::Running | Standing::Interrupted => f64::INFINITY,
            Standing::Finished | Standing::Stopped => self.cost_of(trial).unwrap_or(worst),
            Standing::Failed => match impute {
                Some(Impute::Best) => self.cost_of(trial).unwrap_or(worst),
                Some(Impute::Latest) => trial.values.last().map_or(worst, |last| self.config.cost(*last)),
                _ => worst,
            },
        };
        self.trials.iter().map(|trial| (trial.places.as_slice(), cost(trial))).collect()
    }

    /// The best value of a trial so that less is better.
    fn cost_of(&self, trial: &Trial) -> Option<f64> {
        trial.values.iter().map(|value| self.config.cost(*value)).reduce(f64::min)
    }

    /// The best value of a trial.
    pub fn value(&self, trial: &Trial) -> Option<f64> {
        self.cost_of(trial).map(|cost| self.config.cost(cost))
    }

    /// The trial with the best value; of those that failed or are under way, none.
    pub fn best(&self) -> Option<&Trial> {
        let over = self.trials.iter().filter(|t| matches!(t.standing, Standing::Finished | Standing::Stopped));
        over.filter_map(|trial| Some((self.cost_of(trial)?, trial)))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, trial)| trial)
    }

    fn is_on_target(&self) -> bool {
        let Some(target) = self.config.metric.as_ref().and_then(|metric| metric.target) else { return false };
        let target = self.config.cost(target);
        self.trials.iter().filter_map(|trial| self.cost_of(trial)).any(|cost| cost <= target)
    }

    /// What has been measured of a trial so far; what is not a number is left out.
    pub fn report(&mut self, number: u64, values: &[f64]) {
        if let Some(trial) = self.at(number) {
            trial.values = values.iter().copied().filter(|value| value.is_finite()).collect();
        }
    }

    /// The trials under way that lag behind.
    pub fn lagging(&self) -> Vec<u64> {
        let Some(band) = &self.config.early_terminate else { return Vec::new() };
        let costs: Vec<Vec<f64>> = self
            .trials
            .iter()
            .map(|trial| trial.values.iter().map(|value| self.config.cost(*value)).collect())
            .collect();
        let running = |trial: &Trial| trial.standing == Standing::Running;
        let courses: Vec<Course<'_>> =
            self.trials.iter().zip(&costs).map(|(trial, values)| Course { values, running: running(trial) }).collect();
        band.stops(&courses).into_iter().map(|at| self.trials[at].number).collect()
    }

    /// A trial is over, or was interrupted.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn end(&mut self, number: u64, standing: Standing, note: &str) -> Result<()> {
        if let Some(trial) = self.at(number) {
            trial.standing = standing;
            trial.note = note.to_string();
        }
        self.save()
    }

    fn at(&mut self, number: u64) -> Option<&mut Trial> {
        self.trials.get_mut(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    fn save(&self) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let stored =
            StoredSweep { format: FORMAT, seed: self.seed, config: self.source.clone(), trials: self.trials.clone() };
        let text = serde_json::to_string_pretty(&stored).map_err(Error::internal)?;
        atomic::write(&folder.join(FILE), format!("{text}\n").as_bytes())
    }
}

fn read(path: &Path) -> Result<StoredSweep> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("cannot read", path, e))?;
    let stored: StoredSweep = serde_json::from_str(&text).map_err(|e| {
        Error::broken(format!("{} is not a sweep: {e}", path.display())).with_hint("name another folder")
    })?;
    match stored.format {
        FORMAT => Ok(stored),
        other => Err(Error::broken(format!("{} has format {other}, this program reads {FORMAT}", path.display()))),
    }
}

/// Holds the folder for this program.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|e| Error::io("cannot write", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(Error::mistake(format!("another sweep is at work in {}", folder.display()))
                .with_hint("wait for it, stop it, or name another folder"))
        }
        // A file system without locks: nobody can be asked.
        Err(std::fs::TryLockError::Error(_)) => Ok(file),
    }
}
