//! The tracker of a training run: logs to JSON lines in its folder, and to the other sinks that `track` names.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::atomic;
use crate::error::{Error, Result};
use crate::midi::Score;
use crate::plot::{Paper, Pixels};
use crate::script::Output;
use crate::script::context::ScriptContext;
use crate::script::objects::eval_sets::EvalSetFigures;
use crate::script::objects::{Audio, Score as Handle, run};
use crate::track::{Media, Monitor, Run, RunOptions, Status, wall_clock};
use crate::train::{TrainEvent, TrainOptions, Trainer};

/// The interval between readings of the machine's load.
const LOAD_EVERY: Duration = Duration::from_secs(10);

/// The file of JSON lines.
const LINES: &str = "metrics.jsonl";

/// A running tracker.
pub(super) struct Tracking {
    ctx: ScriptContext,
    run: Run,
    monitor: Monitor,
    read: Option<Instant>,
    ended_early: bool,
}

impl Tracking {
    /// Refuses unknown sinks, and sinks of a run without a folder.
    pub(super) fn check(options: &TrainOptions) -> Result<()> {
        RunOptions { sinks: options.track.clone(), ..RunOptions::default() }.validate()?;
        if options.output_dir.is_none() && (!options.track.is_empty() || options.wandb_project.is_some()) {
            return Err(Error::mistake("track: the run has no folder to keep its course in")
                .with_hint("give the trainer one: out: \"my_run\""));
        }
        Ok(())
    }

    /// The tracker of a run with a folder; if it cannot start, there is a warning and the run continues without it.
    pub(super) fn start(ctx: &ScriptContext, trainer: &Trainer) -> Option<Self> {
        let out = trainer.options().output_dir.as_deref()?;
        match begin(out, trainer) {
            Ok(run) => {
                let (mut monitor, ctx) = (Monitor::new(), ctx.clone());
                monitor.read(); // the next reading is the mean since now
                let mut tracking = Self { ctx, run, monitor, read: None, ended_early: false };
                tracking.warn();
                Some(tracking)
            }
            Err(error) => {
                ctx.say(Output::Warning(format!("the run is not tracked: {}", error.message())));
                None
            }
        }
    }

    /// Handles an event of the run; `take` is the latest sample.
    pub(super) fn on_event(&mut self, trainer: &Trainer, event: &TrainEvent<'_>, take: Option<&(u64, Score)>) {
        match event {
            TrainEvent::Stepped(step) => {
                let of_the_step = [
                    ("loss", step.loss),
                    ("lr", step.lr),
                    ("grad_norm", step.grad_norm),
                    ("tokens_per_second", step.tokens_per_second),
                ];
                let mut values = of_the_step.map(|(name, value)| (name.to_string(), value)).to_vec();
                if self.read.is_none_or(|at| at.elapsed() >= LOAD_EVERY) {
                    self.read = Some(Instant::now());
                    values.extend(self.monitor.read());
                }
                self.run.log(step.step, &values);
            }
            TrainEvent::Measured(step) => self.run.log(step.step, &[("val_loss", step.val_loss.unwrap_or(f64::NAN))]),
            TrainEvent::SampleDue(step) => {
                if let Some((_, score)) = take.filter(|(at, _)| at == step) {
                    self.sample(*step, score);
                }
            }
            TrainEvent::StoppedEarly(_) => self.ended_early = true,
            TrainEvent::Ended => {
                let done = self.ended_early || trainer.steps() >= trainer.options().max_steps;
                let stopped = self.ctx.progress().interrupt().is_set();
                self.run.finish(match (done, stopped) {
                    (true, _) => Status::Finished,
                    (_, true) => Status::Stopped,
                    _ => Status::Failed,
                });
            }
            TrainEvent::Began | TrainEvent::Saved(_) => {}
        }
        self.warn();
    }

    /// Logs the figures of named sets of held-out rows.
    pub(super) fn eval_sets(&mut self, step: u64, figures: &[EvalSetFigures]) {
        let of_a_set = |set: &EvalSetFigures| {
            let EvalSetFigures { name, loss, bits_per_note } = set;
            [(format!("{name}/val_loss"), *loss), (format!("{name}/bits_per_note"), *bits_per_note)]
        };
        self.run.log(step, &figures.iter().flat_map(of_a_set).collect::<Vec<_>>());
    }

    /// Logs a sample as a file, as a picture and as sound. What cannot be made is left out: an empty sample has no
    /// picture.
    fn sample(&mut self, step: u64, score: &Score) {
        let handle = Handle::new(score.clone());
        let mut all = vec![("sample", Ok(Media::Midi(score.to_bytes())))];
        if let Ok(Some(roll)) = handle.roll(self.ctx.progress().interrupt()) {
            all.push((
                "sample_roll",
                Pixels::draw(&roll.svg, 1.0, Paper::White).and_then(|p| p.png()).map(Media::Image),
            ));
            let sound = Audio::plain(&handle.0).and_then(|audio| audio.wav(&self.ctx.progress().quiet()));
            all.push(("sample_audio", sound.map(Media::Audio)));
        }
        for (name, media) in all {
            if let Err(error) = media.and_then(|media| self.run.log_media(step, name, &media)) {
                self.ctx.say(Output::Warning(format!("{name} of step {step} is left out: {}", error.message())));
            }
        }
    }

    fn warn(&mut self) {
        for warning in self.run.take_warnings() {
            self.ctx.say(Output::Warning(warning));
        }
    }
}

fn begin(out: &Path, trainer: &Trainer) -> Result<Run> {
    std::fs::create_dir_all(out).map_err(|e| Error::io("cannot make the folder", out, e))?;
    // "." has a name, too.
    let out = out.canonicalize().map_err(|e| Error::io("cannot read", out, e))?;
    let name = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    up_to(&out.join(LINES), trainer.steps())?;
    if trainer.steps() == 0 {
        let _ = std::fs::remove_file(out.join("run.json")); // that of a run which this one replaces
    }
    let options = trainer.options();
    let mut sinks = options.track.clone();
    if options.wandb_project.is_some() {
        sinks.push("wandb".into());
    }
    let project = options.wandb_project.clone().unwrap_or_else(|| "etude".into());
    let dir = out.parent().unwrap_or(Path::new(".")).to_path_buf();
    let mlflow_uri = run::mlflow_uri();
    let mut config = config(trainer)?;
    config.insert("output_dir".into(), json!(out.display().to_string()));
    let (resume, from_step) = (true, Some(trainer.steps()));
    let chosen = RunOptions { dir, sinks, project, mlflow_uri, config, resume, from_step, ..RunOptions::default() };
    Run::start(&name, &chosen, wall_clock(), rand::random())
}

/// The configuration of the run, for comparisons: the same before and after it was read from files, which contain more
/// than the options.
fn config(trainer: &Trainer) -> Result<Map<String, Value>> {
    let model = trainer.model();
    let Value::Object(mut map) = serde_json::to_value(trainer.options()).map_err(Error::internal)? else {
        return Ok(Map::new());
    };
    map.remove("track");
    let mut shape = serde_json::to_value(model.config()).map_err(Error::internal)?;
    if let Some(config) = model.config().llama() {
        shape["num_key_value_heads"] = json!(config.kv_heads());
        shape["head_dim"] = json!(config.head_dim());
    }
    map.insert("model".into(), shape);
    let mut lora = serde_json::to_value(model.lora_config()).map_err(Error::internal)?;
    if let Value::Object(lora) = &mut lora {
        lora.insert("target_modules".into(), json!(model.adapted_modules()));
        lora.remove("layers_to_transform");
    }
    map.insert("lora".into(), lora);
    map.insert("data".into(), serde_json::to_value(&trainer.data().options).map_err(Error::internal)?);
    map.insert("params".into(), json!(model.params()));
    map.insert("trainable".into(), json!(model.trainable()));
    Ok(map)
}

/// Removes the lines after a step, which are from an interruption after the last checkpoint and will be logged again.
fn up_to(path: &Path, step: u64) -> Result<()> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(()) };
    let at = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64();
    let kept: Vec<&str> = text.lines().filter(|line| at(line).is_some_and(|at| at <= step && step > 0)).collect();
    let kept: String = kept.iter().flat_map(|line| [line, "\n"]).collect();
    if kept == text { Ok(()) } else { atomic::write(path, kept.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_checkpoint_and_half_a_line_are_taken_away() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(LINES);
        let text = "{\"step\":1,\"loss\":3.0}\n{\"step\":2,\"loss\":2.0}\n{\"step\":3,\"lo";
        for (step, lines) in [(2, 2), (1, 1), (0, 0)] {
            std::fs::write(&path, text).expect("written");
            up_to(&path, step).expect("a file");
            assert_eq!(std::fs::read_to_string(&path).expect("read").lines().count(), lines);
        }
        up_to(&dir.path().join("none"), 3).expect("nothing to take away");
    }
}
