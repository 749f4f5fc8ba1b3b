//! A tracked run: logs values and media by step to all sinks.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::jsonl::Jsonl;
use super::mlflow::Mlflow;
use super::sink::{Beginning, Moment, Sink};
use super::tensorboard::TensorBoard;
use super::wandb::Wandb;
use super::{Media, RunOptions, Status, WallClock, jsonl};
use crate::atomic;
use crate::error::{Error, Result};

/// The contents of `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) project: String,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) notes: String,
    #[serde(default)]
    pub(super) config: Map<String, Value>,
    /// Seconds since 1970.
    pub(super) began: f64,
    #[serde(default)]
    pub(super) ended: Option<f64>,
    #[serde(default)]
    pub(super) status: Option<Status>,
    pub(super) etude_version: String,
}

/// The file in the folder of a run.
pub(super) const FILE: &str = "run.json";

/// Names reserved for the fields of a line.
const TAKEN: [&str; 3] = ["step", "time", "media"];

/// A run in progress.
pub struct Run {
    record: Record,
    folder: PathBuf,
    sinks: Vec<Box<dyn Sink>>,
    warnings: Vec<String>,
    clock: WallClock,
    step: u64,
    finished: bool,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("folder", &self.folder).field("step", &self.step).finish_non_exhaustive()
    }
}

impl Run {
    /// Starts a run in `options.dir`; `entropy` determines its id.
    ///
    /// # Errors
    /// A name that cannot be a folder, an unknown sink, or a folder that cannot be written. A sink other than the JSON
    /// lines that cannot start gives only a warning.
    pub fn start(name: &str, options: &RunOptions, clock: WallClock, entropy: u64) -> Result<Self> {
        options.validate()?;
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
            return Err(Error::mistake(format!("a run cannot be called '{name}'"))
                .with_hint("its name is that of a folder: letters, digits, - and _"));
        }
        let folder = if options.resume { options.dir.join(name) } else { free(&options.dir, name) };
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("cannot make", &folder, e))?;
        let before = if options.resume { read_record(&folder).ok() } else { None };
        let now = clock();
        let record = Record {
            name: folder.file_name().map_or_else(|| name.into(), |name| name.to_string_lossy().into_owned()),
            id: before.as_ref().map_or_else(|| id(entropy), |before| before.id.clone()),
            project: options.project.clone(),
            tags: options.tags.clone(),
            notes: options.notes.clone(),
            config: options.config.clone(),
            began: before.map_or(now, |before| before.began),
            ended: None,
            status: None,
            etude_version: env!("CARGO_PKG_VERSION").into(),
        };
        let lines = Box::new(Jsonl::open(&folder)?);
        let mut run =
            Self { record, folder, sinks: vec![lines], warnings: Vec::new(), clock, step: 0, finished: false };
        run.write_record()?;
        let beginning = run.beginning(now, options.from_step.filter(|_| options.resume));
        let mut sinks: Vec<&str> = options.sinks.iter().map(String::as_str).filter(|&name| name != "jsonl").collect();
        sinks.sort_unstable();
        sinks.dedup();
        for name in sinks {
            match open(name, &beginning, options) {
                Ok(sink) => run.sinks.push(sink),
                Err(error) => run.warnings.push(format!("{name} is left out: {error}")),
            }
        }
        Ok(run)
    }

    fn beginning(&self, time: f64, from_step: Option<u64>) -> Beginning {
        let Record { name, id, project, config, tags, notes, .. } = self.record.clone();
        Beginning { name, id, project, config, tags, notes, folder: self.folder.clone(), time, from_step }
    }

    fn write_record(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.record).map_err(Error::internal)?;
        atomic::write(&self.folder.join(FILE), format!("{text}\n").as_bytes())
    }

    /// Its name, which is that of its folder.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Its id: eight letters and digits.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The last logged step.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// True once [`Run::finish`] was called.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The active sinks.
    pub fn sinks(&self) -> Vec<&'static str> {
        self.sinks.iter().map(|sink| sink.name()).collect()
    }

    /// Logs the values of a step. The reserved names `step`, `time` and `media` are ignored. A sink that fails gives a
    /// warning and is not used again.
    pub fn log<S: AsRef<str>>(&mut self, step: u64, values: &[(S, f64)]) {
        let values = values.iter().map(|(name, value)| (name.as_ref().to_string(), *value));
        let values: Vec<(String, f64)> = values.filter(|(name, _)| !TAKEN.contains(&name.as_str())).collect();
        if !values.is_empty() {
            let at = self.at(step);
            self.each(|sink| sink.log(at, &values));
        }
    }

    /// Logs a media item: it is written to a file under `media`, and every sink shows it as it can.
    ///
    /// # Errors
    /// Bytes that are not a file of the type. A file that cannot be written gives only a warning.
    pub fn log_media(&mut self, step: u64, name: &str, media: &Media) -> Result<()> {
        media.check()?;
        let at = self.at(step);
        let plain: String = name.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect();
        let file = self.folder.join("media").join(format!("{plain}_{step:06}.{}", media.ending()));
        let written = std::fs::create_dir_all(self.folder.join("media"))
            .map_err(|e| Error::io("cannot make", self.folder.join("media"), e))
            .and_then(|()| atomic::write(&file, media.bytes()));
        match written {
            Ok(()) => self.each(|sink| sink.media(at, name, media, &file)),
            Err(error) => self.warnings.push(format!("the sample '{name}' is left out: {error}")),
        }
        Ok(())
    }

    /// Ends the run; later values are not logged. A run that is dropped without `finish` has no status in its file,
    /// like one that was killed.
    pub fn finish(&mut self, status: Status) {
        if self.finished {
            return;
        }
        let at = self.at(self.step);
        self.each(|sink| sink.finish(at, status));
        self.finished = true;
        self.sinks.clear();
        self.record.ended = Some(at.time);
        self.record.status = Some(status);
        if let Err(error) = self.write_record() {
            self.warnings.push(error.to_string());
        }
    }

    /// The warnings since the last call, a sentence each.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn at(&mut self, step: u64) -> Moment {
        self.step = step;
        let time = (self.clock)();
        Moment { step, time, runtime: time - self.record.began }
    }

    fn each(&mut self, mut call: impl FnMut(&mut dyn Sink) -> Result<()>) {
        let warnings = &mut self.warnings;
        self.sinks.retain_mut(|sink| match call(sink.as_mut()) {
            Ok(()) => true,
            Err(error) => {
                warnings.push(format!("{} is left out from here on: {error}", sink.name()));
                false
            }
        });
    }
}

fn open(name: &str, run: &Beginning, options: &RunOptions) -> Result<Box<dyn Sink>> {
    Ok(match name {
        "tensorboard" => Box::new(TensorBoard::open(run)?),
        "wandb" => Box::new(Wandb::open(run)?),
        _ => Box::new(Mlflow::open(&options.mlflow_uri, run)?),
    })
}

/// The first unused folder of `solo`, `solo-2`, `solo-3`, ….
fn free(dir: &Path, name: &str) -> PathBuf {
    let taken = |folder: &Path| folder.join(FILE).exists() || folder.join(jsonl::FILE).exists();
    let first = dir.join(name);
    if !taken(&first) {
        return first;
    }
    let mut numbered = (2..).map(|n: u64| dir.join(format!("{name}-{n}")));
    numbered.find(|folder| !taken(folder)).unwrap_or(first)
}

/// Reads the `run.json` of a folder.
pub(super) fn read_record(folder: &Path) -> Result<Record> {
    let path = folder.join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io("cannot read", &path, e))?;
    serde_json::from_str(&text).map_err(|e| Error::broken(format!("{} is not a run: {e}", path.display())))
}

/// Eight letters and digits.
fn id(mut entropy: u64) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |_| {
        let letter = LETTERS[(entropy % 36) as usize];
        entropy /= 36;
        char::from(letter)
    };
    (0..8).map(letter).collect()
}
