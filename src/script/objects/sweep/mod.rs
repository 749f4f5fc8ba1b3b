//! `Sweep`: a hyper-parameter search whose trials are calls of a function, or parallel programs.

mod call;
mod process;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rhai::{Array, Dynamic, FnPtr, Map, NativeCallContext};
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::files::locate;
use crate::interrupt::Interrupt;
use crate::plot::{self, Column, Mark, Parallel};
use crate::progress::Progress;
use crate::script::context::ScriptContext;
use crate::script::convert::{article, count, from_json, json_map, options, text};
use crate::script::failure::Fallible;
use crate::script::html::{self, Cell};
use crate::script::objects::{Figure, settings};
use crate::script::registry::{Object, Registry};
use crate::script::{Bundle, Output};
use crate::sweep::{self, Trial};

/// The interval between updates of the display.
const UPDATE_EVERY: Duration = Duration::from_secs(1);

/// A handle to a sweep.
#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    state: Rc<RefCell<sweep::Sweep>>,
    how: Rc<TrialRunner>,
}

/// How trials are run.
#[derive(Debug)]
enum TrialRunner {
    /// By a function of the script, one after another.
    Function(FnPtr),
    /// By a program, several at a time.
    Program { words: Vec<String>, jobs: usize },
}

/// The options of `sweep`.
pub(super) const OPTIONS: &[(&str, &str)] = &[
    ("dir", "folder that keeps the trials, so that a sweep that was stopped goes on (none; programs need one)"),
    ("jobs", "programs at a time (1)"),
    ("seed", "of what is drawn (the session's when absent)"),
];

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SweepOptions {
    dir: String,
    jobs: Option<usize>,
    seed: Option<u64>,
}

impl Sweep {
    fn new(ctx: &ScriptContext, config: &Dynamic, trial: &Dynamic, map: &Map) -> Fallible<Self> {
        let SweepOptions { dir, jobs, seed } = options("sweep", map)?;
        let seed = seed.unwrap_or_else(|| ctx.next_seed());
        let how = how(trial, jobs)?;
        if matches!(how, TrialRunner::Program { .. }) && dir.is_empty() {
            return Err(Error::mistake("a sweep of programs needs a folder for them")
                .with_hint("#{ dir: \"sweeps/mine\" }")
                .into());
        }
        let source = source(config)?;
        let state = if dir.is_empty() {
            sweep::Sweep::new(source, seed)?
        } else {
            sweep::Sweep::open(source, seed, &locate(&dir)?)?
        };
        for note in &state.config().notes {
            ctx.say(Output::Warning(format!("sweep: {note}\n")));
        }
        Ok(Self { state: Rc::new(RefCell::new(state)), how: Rc::new(how) })
    }

    fn run(&self, context: &NativeCallContext, ctx: &ScriptContext, n: Option<u64>) -> Fallible<Self> {
        let mut display = LiveTable::new(ctx);
        let done = match &*self.how {
            TrialRunner::Function(f) => {
                call::run(context, ctx, (&self.state, f), n, &mut |state| display.show(state, false))
            }
            TrialRunner::Program { words, jobs } => {
                let mut state = self.state.try_borrow_mut().map_err(|_| busy())?;
                process::run(&mut state, ctx, (words, *jobs), n, &mut |state| display.show(state, false))
            }
        };
        if let Ok(state) = self.state.try_borrow() {
            display.show(&state, true);
        }
        done.map(|()| self.clone())
    }

    fn figure(state: &sweep::Sweep) -> Figure {
        let metric = state.config().metric.as_ref();
        let name = metric.map_or("value", |metric| metric.name.as_str()).to_string();
        let shown: Vec<&Trial> = state.trials().iter().filter(|trial| state.value(trial).is_some()).collect();
        let mark = |value: Option<&Value>| match value {
            Some(Value::Number(n)) => n.as_f64().map_or(Mark::Missing, Mark::Number),
            Some(Value::String(word)) => Mark::Word(word.clone()),
            Some(Value::Null) | None => Mark::Missing,
            Some(other) => Mark::Word(other.to_string()),
        };
        let mut columns: Vec<Column> = state
            .config()
            .space
            .searched()
            .map(|p| Column { name: p.name(), marks: shown.iter().map(|trial| mark(trial.param(&p.path))).collect() })
            .collect();
        let values = shown.iter().map(|trial| state.value(trial).map_or(Mark::Missing, Mark::Number)).collect();
        columns.push(Column { name: name.clone(), marks: values });
        let best = state.best().map(|best| best.number);
        Figure::parallel(Parallel {
            title: state.config().name.clone().unwrap_or_else(|| format!("{name} of {} trials", shown.len())),
            columns,
            best: shown.iter().position(|trial| Some(trial.number) == best),
            low_is_good: !metric.is_some_and(|metric| metric.maximize),
        })
    }
}

/// The formats of a sweep in its current state.
fn bundle(state: &sweep::Sweep, width: usize, interrupt: &Interrupt) -> Bundle {
    let mut bundle = Sweep::figure(state).bundle(width, interrupt);
    bundle.forms.insert("text/plain", words(state, width));
    bundle
}

fn words(state: &sweep::Sweep, width: usize) -> String {
    let (headings, rows) = state.table();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    if rows.is_empty() {
        line(state)
    } else {
        format!("{}\n{}", line(state), plot::table_within(&headings, &rows, width))
    }
}

fn page(state: &sweep::Sweep) -> String {
    let (headings, rows) = state.table();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let cell = |(at, text): (usize, String)| if at == 1 { Cell::Word(text) } else { Cell::Number(text) };
    let rows: Vec<Vec<Cell>> = rows.into_iter().map(|row| row.into_iter().enumerate().map(cell).collect()).collect();
    format!("<div>{}{}</div>", html::heading(&line(state)), html::table(&headings, &rows))
}

fn line(state: &sweep::Sweep) -> String {
    let over = state.trials().iter().filter(|trial| trial.standing.is_over()).count();
    let all = state.total().map_or(String::new(), |all| format!(" of {all}"));
    let best = state.best().and_then(|best| {
        let name = state.config().metric.as_ref().map_or("value", |metric| metric.name.as_str());
        Some(format!(", best trial {}: {name} {:.4}", best.number, state.value(best)?))
    });
    format!("Sweep: {over}{all} trials{}", best.unwrap_or_default())
}

/// Displays a running sweep, where displays can be updated.
struct LiveTable {
    ctx: ScriptContext,
    id: Option<u64>,
    shown: Option<Instant>,
}

impl LiveTable {
    fn new(ctx: &ScriptContext) -> Self {
        Self { ctx: ctx.clone(), id: ctx.live().then(|| ctx.display_id()), shown: None }
    }

    fn show(&mut self, state: &sweep::Sweep, over: bool) {
        let Some(id) = self.id else { return };
        if !over && self.shown.is_some_and(|at| at.elapsed() < UPDATE_EVERY) {
            return;
        }
        let plain = Bundle::text(words(state, self.ctx.width()));
        let bundle = if self.ctx.rich() {
            let figure = Sweep::figure(state).svg(self.ctx.progress().interrupt());
            let figure = figure.map_or_else(String::new, |svg| html::image(&svg));
            plain.with("text/html", Some(format!("{figure}{}", page(state))))
        } else {
            plain
        };
        self.ctx.say(match self.shown {
            None => Output::Display { bundle, id: Some(id) },
            Some(_) => Output::Update { bundle, id },
        });
        self.shown = Some(Instant::now());
    }
}

impl Object for Sweep {
    const NAME: &'static str = "Sweep";
    const DOC: &'static str = "Many trials with different values: s.run(10), s.best.params, s.plot().\n\
        let s = sweep(\"configs/sweep_config.yaml\", |p| { let run = trainer(net.qlora(#{ r: p.r }), data, #{ lr: p.lr }); run.fit(); run.evaluate() });";

    fn line(&self) -> String {
        self.state.try_borrow().map_or_else(|_| "Sweep: under way".into(), |state| line(&state))
    }

    fn text(&self, width: usize) -> String {
        self.state.try_borrow().map_or_else(|_| self.line(), |state| words(&state, width))
    }

    fn bundle(&self, width: usize, interrupt: &Interrupt) -> Bundle {
        self.state.try_borrow().map_or_else(|_| Bundle::text(self.line()), |state| bundle(&state, width, interrupt))
    }

    fn html(&self) -> Option<String> {
        self.state.try_borrow().ok().map(|state| page(&state))
    }

    fn besides(&self, progress: &Progress) -> Vec<Bundle> {
        let figure = self.state.try_borrow().ok().and_then(|state| Self::figure(&state).svg(progress.interrupt()));
        figure.into_iter().map(html::picture).collect()
    }
}

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "sweep(config: string | map, trial: function | array) -> Sweep",
        "A sweep in W&B's words: a YAML file, a YAML text or a map. trial is a function of a map of values that gives the metric (|p| …).",
        move |config: Dynamic, trial: Dynamic| Sweep::new(&ctx, &config, &trial, &Map::new()),
    );
    let ctx = registry.ctx();
    let member = registry.function(
        "sweep(config: string | map, trial: function | array, options: map) -> Sweep",
        "A sweep in W&B's words. trial is a function of a map of values that gives the metric, or the words of a program, to which the values are added as flags: [\"train\", \"--data_dir\", dir].\nOptions:",
        move |config: Dynamic, trial: Dynamic, map: Map| Sweep::new(&ctx, &config, &trial, &map),
    );
    member.options = OPTIONS;
    let ctx = registry.ctx();
    registry.function(
        "report(value: float) -> bool",
        "Says in the trial of a sweep what was measured on the way; false when the trial lags behind and should end: if !report(loss) { break }.",
        move |value: Dynamic| -> Fallible<bool> { call::report(&ctx, &value) },
    );
    let mut object = registry.object::<Sweep>();
    let ctx = object.ctx();
    object.method(
        "run() -> Sweep",
        "Runs the trials that are left: all of a grid, else up to run_cap.",
        move |context: NativeCallContext, s: &mut Sweep| -> Fallible<Sweep> {
            if s.state.try_borrow().map_err(|_| busy())?.total().is_none() {
                let error = Error::mistake("this sweep has no end of its own");
                return Err(error
                    .with_hint("say how many trials: run(20), or run_cap: 20 in its configuration")
                    .into());
            }
            s.run(&context, &ctx, None)
        },
    );
    let ctx = object.ctx();
    object.method(
        "run(n: int) -> Sweep",
        "Runs up to `n` more trials.",
        move |context: NativeCallContext, s: &mut Sweep, n: Dynamic| -> Fallible<Sweep> {
            s.run(&context, &ctx, Some(count("the number of trials", &n)?))
        },
    );
    object.get(
        "best -> any",
        "The trial with the best value, as a map: number, params, value, standing, values, folder.",
        |s: &mut Sweep| {
            s.state
                .try_borrow()
                .ok()
                .and_then(|state| state.best().map(|t| map(&state, t).into()))
                .unwrap_or(Dynamic::UNIT)
        },
    );
    object.get(
        "trials -> array",
        "All trials, a map each: number, params, value, standing, values, folder, note.",
        |s: &mut Sweep| {
            let Ok(state) = s.state.try_borrow() else { return Array::new() };
            state.trials().iter().map(|trial| map(&state, trial).into()).collect::<Array>()
        },
    );
    object.get("len -> int", "How many trials came to an end.", |s: &mut Sweep| {
        s.state.try_borrow().map_or(0, |state| state.trials().iter().filter(|t| t.standing.is_over()).count() as i64)
    });
    object.method(
        "plot() -> Figure",
        "The trials as parallel coordinates: an axis for each parameter and one for the metric.",
        |s: &mut Sweep| -> Fallible<Figure> { Ok(Sweep::figure(&*s.state.try_borrow().map_err(|_| busy())?)) },
    );
}

fn busy() -> Error {
    Error::mistake("the sweep is under way").with_hint("its trials cannot run it again")
}

fn map(state: &sweep::Sweep, trial: &Trial) -> Map {
    let folder = state.folder().map_or_else(String::new, |dir| dir.join(trial.name()).display().to_string());
    let values: Array = trial.values.iter().map(|value| Dynamic::from(*value)).collect();
    let entries: [(&str, Dynamic); 7] = [
        ("number", (trial.number as i64).into()),
        ("params", from_json(&Value::Object(trial.params.clone()))),
        ("value", state.value(trial).map_or(Dynamic::UNIT, Dynamic::from)),
        ("standing", trial.standing.name().into()),
        ("values", values.into()),
        ("folder", folder.into()),
        ("note", trial.note.clone().into()),
    ];
    entries.into_iter().map(|(key, value)| (key.into(), value)).collect()
}

fn how(trial: &Dynamic, jobs: Option<usize>) -> Result<TrialRunner> {
    if let Some(f) = trial.read_lock::<FnPtr>() {
        if jobs.is_some_and(|jobs| jobs > 1) {
            return Err(Error::mistake("a function runs one trial at a time")
                .with_hint("several at a time are programs: sweep(config, [\"train\", …], #{ jobs: 2 })"));
        }
        return Ok(TrialRunner::Function(f.clone()));
    }
    match trial.as_array_ref() {
        Ok(words) if !words.is_empty() => {
            let words = words.iter().map(|word| text("a word of the program", word)).collect::<Result<Vec<_>>>()?;
            Ok(TrialRunner::Program { words, jobs: jobs.unwrap_or(1).max(1) })
        }
        _ => Err(Error::mistake(format!(
            "sweep: the trial is a function or the words of a program, not {}",
            article(trial)
        ))),
    }
}

/// A configuration from a file, a text of several lines, or a map.
fn source(config: &Dynamic) -> Result<Value> {
    if let Ok(map) = config.as_map_ref() {
        return json_map("sweep", &map);
    }
    let given = text("the configuration of a sweep", config)?;
    if given.contains('\n') { crate::config::parse_yaml(&given) } else { settings::read_sweep(&given) }
}
