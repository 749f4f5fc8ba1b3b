//! `Run`: a tracked run, which logs to trackers.

use std::cell::RefCell;
use std::rc::Rc;

use rhai::{Dynamic, Map};

use crate::error::Error;
use crate::progress::Progress;
use crate::script::Output;
use crate::script::context::ScriptContext;
use crate::script::convert::{article, number, options};
use crate::script::failure::Fallible;
use crate::script::objects::{Audio, Score};
use crate::script::registry::{Object, Registry};
use crate::track::{self, Media, RunOptions, Status, wall_clock};

/// A handle to a run.
#[derive(Debug, Clone)]
pub(crate) struct Run(Rc<RefCell<track::Run>>);

/// The options of `run`, with descriptions of [`RunOptions`].
pub(super) const OPTIONS: &[(&str, &str)] = &[
    ("dir", "the folder of all runs (\"experiments\")"),
    ("sinks", "where values go beside the JSON lines: [\"tensorboard\", \"wandb\", \"mlflow\"]"),
    ("config", "what the run is made with, a map, for comparing"),
    ("project", "the project at Weights & Biases, the experiment at MLflow (\"etude\")"),
    ("tags", "words to find the run by"),
    ("notes", "what the run is for"),
    ("mlflow_uri", "the MLflow server (MLFLOW_TRACKING_URI, else \"http://127.0.0.1:5000\")"),
    ("resume", "whether a run of this name goes on (false: the new one gets a number)"),
    ("from_step", "the step it goes on from: what was logged after it is taken back (nothing is)"),
];

impl Object for Run {
    const NAME: &'static str = "Run";
    const DOC: &'static str = "Keeps what a training says about itself: always as JSON lines in its folder, and for \
        TensorBoard, Weights & Biases (offline, for wandb sync) or MLflow when asked.\n\
        let r = run(\"solo\", #{ sinks: [\"tensorboard\"] }); r.log(1, #{ loss: 2.3 }); r.finish();";

    fn line(&self) -> String {
        let run = self.0.borrow();
        let state =
            if run.is_finished() { ", finished".to_string() } else { format!(" -> {}", run.sinks().join(", ")) };
        format!("Run: {} in {}, step {}{state}", run.name(), run.folder().display(), run.step())
    }
}

/// The MLflow server of the environment, else the default local one.
pub(super) fn mlflow_uri() -> String {
    let named = std::env::var("MLFLOW_TRACKING_URI").ok().filter(|uri| !uri.is_empty());
    named.unwrap_or_else(|| RunOptions::default().mlflow_uri)
}

impl Run {
    fn log(&self, step: i64, values: &Map, ctx: &ScriptContext) -> Fallible<()> {
        let mut run = self.0.borrow_mut();
        if run.is_finished() {
            return Err(Error::mistake(format!("the run {} is finished", run.name())).into());
        }
        let step = u64::try_from(step).map_err(|_| Error::mistake(format!("{step} is not a step: they begin at 0")))?;
        let (mut numbers, mut samples) = (Vec::new(), Vec::new());
        for (name, value) in values {
            match sample(value, ctx.progress())? {
                Some(sample) => samples.push((name.as_str(), sample)),
                None => numbers.push((name.as_str(), measured(name, value)?)),
            }
        }
        run.log(step, &numbers);
        for (name, sample) in samples {
            run.log_media(step, name, &sample)?;
        }
        warn(&mut run, ctx);
        Ok(())
    }

    fn finish(&self, ctx: &ScriptContext) {
        let mut run = self.0.borrow_mut();
        run.finish(Status::Finished);
        warn(&mut run, ctx);
    }
}

/// Prints the warnings of trackers.
fn warn(run: &mut track::Run, ctx: &ScriptContext) {
    for warning in run.take_warnings() {
        ctx.say(Output::Warning(format!("run {}: {warning}\n", run.name())));
    }
}

/// A logged value that is not a number, as media.
fn sample(value: &Dynamic, progress: &Progress) -> Fallible<Option<Media>> {
    if let Some(score) = value.read_lock::<Score>() {
        return Ok(Some(Media::Midi(score.0.to_bytes())));
    }
    if let Some(audio) = value.read_lock::<Audio>() {
        return Ok(Some(Media::Audio(audio.wav(progress)?)));
    }
    Ok(value.as_immutable_string_ref().ok().map(|text| Media::Text(text.to_string())))
}

fn measured(name: &str, value: &Dynamic) -> Fallible<f64> {
    if let Ok(yes) = value.as_bool() {
        return Ok(f64::from(u8::from(yes)));
    }
    number(name, value).map_err(|_| {
        let message = format!("a run logs numbers, texts, Scores and Audio; {name} is {}", article(value));
        Error::mistake(message).into()
    })
}

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    let start = move |name: &str, map: &Map| -> Fallible<Run> {
        let mut chosen: RunOptions = options("run", map)?;
        if !map.contains_key("mlflow_uri") {
            chosen.mlflow_uri = mlflow_uri();
        }
        if let Some(dir) = chosen.dir.to_str() {
            chosen.dir = crate::files::locate(dir)?;
        }
        let mut run = track::Run::start(name, &chosen, wall_clock(), rand::random())?;
        warn(&mut run, &ctx);
        Ok(Run(Rc::new(RefCell::new(run))))
    };
    let plain = start.clone();
    registry.function("run(name: string) -> Run", "Begins a run: a folder in experiments.", move |name: &str| {
        plain(name, &Map::new())
    });
    let member = registry.function(
        "run(name: string, options: map) -> Run",
        "Begins a run: a folder in experiments, and what trackers want.\nOptions:",
        move |name: &str, map: Map| start(name, &map),
    );
    member.options = OPTIONS;
    let mut run = registry.object::<Run>();
    run.get("name -> string", "Its name: that of its folder.", |r: &mut Run| r.0.borrow().name().to_string());
    run.get("id -> string", "Eight letters and digits.", |r: &mut Run| r.0.borrow().id().to_string());
    run.get("folder -> string", "Its folder.", |r: &mut Run| r.0.borrow().folder().display().to_string());
    run.get("step -> int", "The step that was logged last.", |r: &mut Run| r.0.borrow().step() as i64);
    let ctx = run.ctx();
    run.method(
        "log(step: int, values: map)",
        "Keeps the numbers of a step; a text, a Score or an Audio becomes a sample.",
        move |r: &mut Run, step: i64, values: Map| r.log(step, &values, &ctx),
    );
    let ctx = run.ctx();
    run.method("finish()", "Ends the run: what waits is written.", move |r: &mut Run| r.finish(&ctx));
}
