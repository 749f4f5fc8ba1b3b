//! TensorBoard's event files: `events.out.tfevents.SECONDS.HOST…`, a TFRecord of protocol-buffer `Event`s
//! (tensorboard/compat/proto/event.proto and summary.proto).

mod tfrecord;

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::media::{size, sound};
use super::sink::{Beginning, Moment, Sink};
use super::{Media, Status};
use crate::atomic;
use crate::error::{Error, Result};
use crate::proto::{Field, ProtoMessage, fields};

/// The format version, in the first event.
const VERSION: &str = "brain.Event:2";
/// `DT_STRING` of tensor_shape.proto's neighbour, types.proto.
const STRING: i64 = 7;
/// RGB, as `Summary.Image.colorspace` counts.
const RGB: i64 = 3;

/// Writes one event file.
#[derive(Debug)]
pub(super) struct TensorBoard {
    file: File,
    path: PathBuf,
}

impl TensorBoard {
    /// # Errors
    /// Names the file that cannot be written.
    pub(super) fn open(run: &Beginning) -> Result<Self> {
        let seconds = run.time as u64;
        let goes_on = match run.from_step {
            Some(step) => take_back(&run.folder, step)?,
            None => false,
        };
        // A run that goes on writes another file beside the first; TensorBoard reads both.
        let name = (0..).map(|i| run.folder.join(format!("events.out.tfevents.{seconds}.etude.{}.{i}", run.id)));
        let path = name.into_iter().find(|path| !path.exists()).unwrap_or_default();
        let opened = OpenOptions::new().create_new(true).append(true).open(&path);
        let file = opened.map_err(|e| Error::io("cannot write", &path, e))?;
        let mut events = Self { file, path };
        events.write(&ProtoMessage::new().double(1, run.time).bytes(3, VERSION))?;
        if !run.config.is_empty() && !goes_on {
            let text: Vec<String> = run.config.iter().map(|(key, value)| format!("    {key}: {value}")).collect();
            let at = Moment { step: 0, time: run.time, runtime: 0.0 };
            events.summary(at, &[text_value("config", &text.join("\n"))])?;
        }
        Ok(events)
    }

    fn summary(&mut self, at: Moment, values: &[ProtoMessage]) -> Result<()> {
        let summary = values.iter().fold(ProtoMessage::new(), |summary, value| summary.message(1, value));
        self.write(&ProtoMessage::new().double(1, at.time).int(2, at.step as i64).message(5, &summary))
    }

    fn write(&mut self, event: &ProtoMessage) -> Result<()> {
        let written = self.file.write_all(&tfrecord::frame(event.as_bytes()));
        written.map_err(|e| Error::io("cannot write", &self.path, e))
    }
}

/// Removes the events after a step from the files of a run, and an incomplete event at the end; true if any file is
/// left. Step 0 removes all files.
fn take_back(folder: &Path, step: u64) -> Result<bool> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("cannot read", folder, e))?;
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("events.out.tfevents.") && name.contains(".etude.")
    };
    let mut left = false;
    for path in entries.flatten().map(|entry| entry.path()).filter(ours) {
        if step == 0 {
            std::fs::remove_file(&path).map_err(|e| Error::io("cannot remove", &path, e))?;
            continue;
        }
        left = true;
        let bytes = std::fs::read(&path).map_err(|e| Error::io("cannot read", &path, e))?;
        let early = |event: &&[u8]| {
            fields(event).all(|(field, value)| field != 2 || matches!(value, Field::Int(at) if at <= step))
        };
        let kept: Vec<u8> = tfrecord::frames(&bytes).filter(early).flat_map(tfrecord::frame).collect();
        if kept != bytes {
            atomic::write(&path, &kept)?;
        }
    }
    Ok(left)
}

/// A text value for the text plugin: a tensor of one string.
fn text_value(name: &str, text: &str) -> ProtoMessage {
    let shape = ProtoMessage::new().message(2, &ProtoMessage::new().int(1, 1));
    let tensor = ProtoMessage::new().int(1, STRING).message(2, &shape).bytes(8, text);
    let metadata = ProtoMessage::new().message(1, &ProtoMessage::new().bytes(1, "text"));
    ProtoMessage::new().bytes(1, format!("{name}/text_summary")).message(8, &tensor).message(9, &metadata)
}

impl Sink for TensorBoard {
    fn name(&self) -> &'static str {
        "tensorboard"
    }

    fn log(&mut self, at: Moment, values: &[(String, f64)]) -> Result<()> {
        let value = |(name, value): &(String, f64)| ProtoMessage::new().bytes(1, name).float(2, *value as f32);
        self.summary(at, &values.iter().map(value).collect::<Vec<_>>())
    }

    fn media(&mut self, at: Moment, name: &str, media: &Media, file: &Path) -> Result<()> {
        let value = match media {
            Media::Text(text) => text_value(name, text),
            Media::Image(png) => {
                let (width, height) = size(png).unwrap_or_default();
                let image = ProtoMessage::new().int(1, height.into()).int(2, width.into()).int(3, RGB).bytes(4, png);
                ProtoMessage::new().bytes(1, name).message(4, &image)
            }
            Media::Audio(wav) => {
                let Some(sound) = sound(wav) else { return Ok(()) };
                let audio = ProtoMessage::new()
                    .float(1, sound.rate as f32)
                    .int(2, sound.channels.into())
                    .int(3, sound.frames.into())
                    .bytes(4, wav)
                    .bytes(5, "audio/wav");
                ProtoMessage::new().bytes(1, name).message(6, &audio)
            }
            // TensorBoard cannot play MIDI: the path of the file is logged.
            Media::Midi(_) => text_value(name, &format!("`{}`", file.display())),
        };
        self.summary(at, &[value])
    }

    fn finish(&mut self, _: Moment, _: Status) -> Result<()> {
        self.file.sync_all().map_err(|e| Error::io("cannot write", &self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn beginning(folder: &Path, from_step: Option<u64>) -> Beginning {
        let config = json!({ "lr": 1 }).as_object().cloned().unwrap_or_default();
        let (name, id, project) = ("solo".into(), "ab12cd34".into(), "etude".into());
        let (tags, notes, time) = (Vec::new(), String::new(), 1e9);
        Beginning { name, id, project, config, tags, notes, folder: folder.to_path_buf(), time, from_step }
    }

    /// The steps of the events with a value, over all files.
    fn steps(folder: &Path) -> Vec<u64> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        let mut steps = Vec::new();
        for path in paths {
            let bytes = std::fs::read(path).unwrap();
            steps.extend(tfrecord::frames(&bytes).filter_map(|event| {
                fields(event).find_map(|(field, value)| match value {
                    Field::Int(step) if field == 2 => Some(step),
                    _ => None,
                })
            }));
        }
        steps
    }

    #[test]
    fn a_run_that_was_killed_and_goes_on_has_each_step_once() {
        let dir = tempfile::tempdir().unwrap();
        let log = |sink: &mut TensorBoard, step| {
            sink.log(Moment { step, time: 1e9, runtime: 0.0 }, &[("loss".to_string(), 1.0)]).unwrap();
        };
        let mut first = TensorBoard::open(&beginning(dir.path(), Some(0))).unwrap();
        (1..=5).for_each(|step| log(&mut first, step));
        let path = first.path.clone();
        drop(first);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap(); // killed in the middle of an event
        let mut again = TensorBoard::open(&beginning(dir.path(), Some(3))).unwrap();
        (4..=6).for_each(|step| log(&mut again, step));
        assert_eq!(steps(dir.path()), [0, 1, 2, 3, 4, 5, 6], "0 is the configuration");
        std::fs::write(dir.path().join("events.out.tfevents.1.host.9"), b"another's").unwrap();
        TensorBoard::open(&beginning(dir.path(), Some(0))).unwrap();
        assert_eq!(steps(dir.path()), [0], "a run that begins anew");
        assert!(dir.path().join("events.out.tfevents.1.host.9").exists());
    }
}
