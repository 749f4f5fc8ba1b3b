//! Offline runs of Weights & Biases, which `wandb sync` sends to the server when asked:
//!
//! ```text
//! wandb/offline-run-20240131_235959-ab12cd34/
//!     run-ab12cd34.wandb     everything, as a log of records
//!     files/                 wandb-summary.json, config.yaml, media/
//!     logs/
//! wandb/latest-run           a link to it
//! ```

mod log;
mod run_record;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::clock::stamp;
use super::media::size;
use super::sink::{Beginning, Moment, Sink};
use super::{Media, Status};
use crate::atomic;
use crate::error::{Error, Result};
use crate::proto::ProtoMessage;

use log::Log;

/// Writes one offline run.
#[derive(Debug)]
pub(super) struct Wandb {
    log: Log<File>,
    folder: PathBuf,
    path: PathBuf,
    /// The number of records; they are numbered from 1.
    records: i64,
    /// The values of the current step, kept until the next: W&B takes each step only once.
    open: Option<(Moment, Map<String, Value>)>,
    /// The latest of each value.
    latest: Map<String, Value>,
}

impl Wandb {
    /// # Errors
    /// Names what cannot be written.
    pub(super) fn open(run: &Beginning) -> Result<Self> {
        let all = run.folder.join("wandb");
        if let Some(step) = run.from_step
            && let Some(wandb) = Self::go_on(&all, run, step)?
        {
            return Ok(wandb);
        }
        // If the name is taken, that of the next free second.
        let names = (0..).map(|more| format!("offline-run-{}-{}", stamp(run.time + f64::from(more)), run.id));
        let name = names.into_iter().find(|name| !all.join(name).exists()).unwrap_or_default();
        let folder = all.join(&name);
        for part in ["files", "logs"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).map_err(|e| Error::io("cannot make", &part, e))?;
        }
        let path = folder.join(format!("run-{}.wandb", run.id));
        let file = File::create(&path).map_err(|e| Error::io("cannot write", &path, e))?;
        let log = Log::new(file).map_err(|e| Error::io("cannot write", &path, e))?;
        let mut wandb = Self { log, folder, path, records: 0, open: None, latest: Map::new() };
        wandb.write(run_record::header())?;
        wandb.write(run_record::run(run))?;
        let config: Map<String, Value> =
            run.config.iter().map(|(key, value)| (key.clone(), json!({ "value": value }))).collect();
        let yaml = serde_yaml::to_string(&config).map_err(Error::internal)?;
        atomic::write(&wandb.folder.join("files/config.yaml"), yaml.as_bytes())?;
        #[cfg(unix)]
        {
            // Only a convenience: `wandb sync` also takes the folder by name.
            let link = all.join("latest-run");
            let _ = fs::remove_file(&link);
            let _ = std::os::unix::fs::symlink(&name, link);
        }
        Ok(wandb)
    }

    /// Resumes the newest run of this id from a step; later values are removed. `None` where there is no such run, its
    /// start is lost, it starts anew, or it was already synced.
    fn go_on(all: &Path, run: &Beginning, step: u64) -> Result<Option<Self>> {
        let ending = format!("-{}", run.id);
        let mut folders: Vec<PathBuf> = fs::read_dir(all).into_iter().flatten().flatten().map(|e| e.path()).collect();
        folders.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("offline-run-") && name.ends_with(&ending)
        });
        folders.sort();
        if step == 0 {
            for folder in folders {
                fs::remove_dir_all(&folder).map_err(|e| Error::io("cannot remove", &folder, e))?;
            }
            return Ok(None);
        }
        let Some(folder) = folders.pop() else { return Ok(None) };
        let path = folder.join(format!("run-{}.wandb", run.id));
        let sent = folder.join(format!("run-{}.wandb.synced", run.id));
        let Some(bytes) = fs::read(&path).ok().filter(|_| !sent.exists()) else { return Ok(None) };
        let fail = |e| Error::io("cannot write", &path, e);
        let (mut log, mut records, mut latest) = (Log::new(Vec::new()).map_err(fail)?, 0, Map::new());
        for old in log::records(&bytes) {
            let Some(record) = run_record::kept(&old, step) else { continue };
            records += 1;
            latest.extend(run_record::values(record.as_bytes()));
            log.record(record.int(1, records).as_bytes()).map_err(fail)?;
        }
        if records < 2 {
            return Ok(None);
        }
        let kept = log.get_ref();
        atomic::write(&path, kept)?;
        let file = fs::OpenOptions::new().append(true).open(&path).map_err(fail)?;
        let log = Log::resume(file, kept.len());
        let mut wandb = Self { log, folder, path, records, open: None, latest };
        wandb.write(run_record::config(&run.config))?;
        Ok(Some(wandb))
    }

    fn write(&mut self, record: ProtoMessage) -> Result<()> {
        self.records += 1;
        let record = record.int(1, self.records);
        self.log.record(record.as_bytes()).map_err(|e| Error::io("cannot write", &self.path, e))
    }

    fn add(&mut self, at: Moment, values: impl IntoIterator<Item = (String, Value)>) -> Result<()> {
        if self.open.as_ref().is_some_and(|(open, _)| open.step != at.step) {
            self.close()?;
        }
        let (_, open) = self.open.get_or_insert_with(|| (at, Map::new()));
        open.extend(values);
        Ok(())
    }

    /// Writes the current step.
    fn close(&mut self) -> Result<()> {
        let Some((at, mut values)) = self.open.take() else { return Ok(()) };
        values.insert("_step".into(), json!(at.step));
        values.insert("_runtime".into(), json!(at.runtime));
        values.insert("_timestamp".into(), json!(at.time));
        self.latest.extend(values.clone());
        self.write(run_record::history(at.step, &values))
    }

    /// Copies a media item to W&B's folder and returns its entry for the history.
    fn place(&mut self, at: Moment, name: &str, media: &Media) -> Result<Value> {
        let sha256: String = Sha256::digest(media.bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let (kind, folder) = match media {
            Media::Image(_) => ("image-file", "images"),
            Media::Audio(_) => ("audio-file", "audio"),
            Media::Midi(_) | Media::Text(_) => ("file", "files"),
        };
        let plain: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
        let path = format!("media/{folder}/{plain}_{}_{}.{}", at.step, &sha256[..20], media.ending());
        let target = self.folder.join("files").join(&path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("cannot make", folder, e))?;
        }
        atomic::write(&target, media.bytes())?;
        self.write(run_record::file(&path))?;
        let mut value = json!({ "_type": kind, "path": path, "sha256": sha256, "size": media.bytes().len() });
        if let Media::Image(png) = media
            && let Some((width, height)) = size(png)
        {
            value["format"] = json!("png");
            value["width"] = json!(width);
            value["height"] = json!(height);
        }
        Ok(value)
    }
}

impl Sink for Wandb {
    fn name(&self) -> &'static str {
        "wandb"
    }

    fn log(&mut self, at: Moment, values: &[(String, f64)]) -> Result<()> {
        self.add(at, values.iter().map(|(name, value)| (name.clone(), run_record::number(*value))))
    }

    fn media(&mut self, at: Moment, name: &str, media: &Media, _: &Path) -> Result<()> {
        let value = match media {
            Media::Text(text) => json!(text),
            _ => self.place(at, name, media)?,
        };
        self.add(at, [(name.to_string(), value)])
    }

    fn finish(&mut self, at: Moment, status: Status) -> Result<()> {
        self.close()?;
        let latest = std::mem::take(&mut self.latest);
        self.write(run_record::summary(&latest))?;
        let summary = format!("{:#}\n", Value::Object(latest));
        atomic::write(&self.folder.join("files/wandb-summary.json"), summary.as_bytes())?;
        self.write(run_record::exit(status.code(), at.runtime))?;
        self.log.get_ref().sync_all().map_err(|e| Error::io("cannot write", &self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(folder: &Path, from_step: Option<u64>, time: f64) -> Beginning {
        let config = json!({ "lr": time }).as_object().cloned().unwrap_or_default();
        let (name, id, project) = ("solo".into(), "ab12cd34".into(), "etude".into());
        let (tags, notes) = (Vec::new(), String::new());
        Beginning { name, id, project, config, tags, notes, folder: folder.to_path_buf(), time, from_step }
    }

    fn log(sink: &mut Wandb, step: u64) {
        let at = Moment { step, time: 1e9, runtime: 0.0 };
        sink.log(at, &[("loss".to_string(), step as f64)]).unwrap();
    }

    fn folders(folder: &Path) -> Vec<PathBuf> {
        let all = fs::read_dir(folder.join("wandb")).unwrap().map(|e| e.unwrap().path());
        let mut all: Vec<_> = all.filter(|path| path.is_dir() && !path.is_symlink()).collect();
        all.sort();
        all
    }

    #[test]
    fn a_run_that_was_killed_and_goes_on_is_one_run_with_each_step_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Wandb::open(&beginning(dir.path(), Some(0), 1e9)).unwrap();
        (1..=5).for_each(|step| log(&mut first, step));
        drop(first);
        let mut again = Wandb::open(&beginning(dir.path(), Some(3), 2e9)).unwrap();
        (4..=6).for_each(|step| log(&mut again, step));
        again.finish(Moment { step: 6, time: 2e9, runtime: 9.0 }, Status::Finished).unwrap();
        let [folder] = &folders(dir.path())[..] else { panic!("one run: {:?}", folders(dir.path())) };
        let path = folder.join("run-ab12cd34.wandb");
        let records = log::records(&fs::read(&path).unwrap());
        let losses: Vec<Value> = records.iter().filter_map(|r| run_record::values(r).get("loss").cloned()).collect();
        assert_eq!(losses, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(|x: f64| json!(x)));
        let summary = fs::read_to_string(folder.join("files/wandb-summary.json")).unwrap();
        assert!(summary.contains("\"loss\": 6.0"), "{summary}");
        // One that was sent already is not changed under the server's eyes.
        fs::write(folder.join("run-ab12cd34.wandb.synced"), b"").unwrap();
        let before = fs::read(&path).unwrap();
        Wandb::open(&beginning(dir.path(), Some(5), 3e9)).unwrap();
        assert_eq!((folders(dir.path()).len(), fs::read(&path).unwrap() == before), (2, true));
        Wandb::open(&beginning(dir.path(), Some(0), 4e9)).unwrap();
        assert_eq!(folders(dir.path()).len(), 1, "a run that begins anew");
    }
}
