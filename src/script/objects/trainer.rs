//! `Trainer`: the training loop, by single steps or to the end.

use std::cell::RefCell;
use std::rc::Rc;

use rhai::{Dynamic, Map};
use serde_json::Value;

use crate::data;
use crate::error::Error;
use crate::files::locate;
use crate::progress::four_digits;
use crate::script::context::ScriptContext;
use crate::script::convert::{article, json_map, options};
use crate::script::failure::Fallible;
use crate::script::objects::eval_sets::EvalSets;
use crate::script::objects::fit_callbacks::FitCallbacks;
use crate::script::objects::history::step_map;
use crate::script::objects::panel::FitPanel;
use crate::script::objects::{Dataset, History, Model};
use crate::script::one_line::thousands;
use crate::script::registry::{Members, Object, Registry};
use crate::train::{self, TrainOptions};

/// A handle to a training run.
#[derive(Debug, Clone)]
pub(crate) struct Trainer {
    run: Rc<RefCell<train::Trainer>>,
    model: Model,
    eval_sets: EvalSets,
}

/// The options of `trainer`, with descriptions of [`TrainOptions`].
pub(super) const OPTIONS: &[(&str, &str)] = &[
    ("lr", "peak learning rate (2e-4)"),
    ("batch_size", "rows in a micro-batch (4); \"auto\" takes what fits the memory"),
    ("gradient_accumulation_steps", "micro-batches in a step (1)"),
    ("global_batch_size", "rows in a step when batch_size is \"auto\" (16)"),
    ("max_steps", "steps of the run (100)"),
    ("epochs", "passes over the training rows, instead of max_steps"),
    (
        "schedule",
        "shape of the learning rate: \"cosine\" (default), \"cosine_with_restarts\", \"linear\", \"polynomial\", \"wsd\", \
         \"inverse_sqrt\", \"constant\"",
    ),
    ("schedule_steps", "steps over which it is laid (max_steps)"),
    ("warmup_steps", "steps of linear warm-up (0)"),
    ("warmup_ratio", "their share of the schedule where warmup_steps is 0 (0)"),
    ("min_lr", "learning rate at the end of the schedule (0)"),
    ("num_cycles", "cosines of the schedule cosine_with_restarts (1)"),
    ("power", "exponent of the schedule polynomial (1)"),
    ("num_decay_steps", "steps of the fall of the schedule wsd (a fifth of those after the warm-up)"),
    ("max_grad_norm", "gradients are clipped to this norm (1); 0 clips nothing"),
    ("betas", "decay of the moments ([0.9, 0.999])"),
    ("eps", "added to the root of the second moment (1e-8)"),
    ("weight_decay", "decoupled weight decay (0); norms and biases have none"),
    ("bits", "bits of the moments: 32 or 8 (32)"),
    ("loraplus_lr_ratio", "factor of the learning rate of adapters' B and of vectors: LoRA+ (1); 16 is usual"),
    ("ema", "decay of a running mean of the weights, which is then measured and saved (0: none)"),
    ("mixed_precision", "number format of products: \"no\", \"bf16\", \"f16\" (no); f32 where the CPU is no faster"),
    ("gradient_checkpointing", "compute activations again on the way back instead of keeping them (false)"),
    ("eval_every", "steps between measurements of the held-out loss (0: never)"),
    ("eval_batches", "batches of one measurement (all)"),
    ("eval_sets", "map of names to rows that are measured beside the held-out ones, such as #{ solos: data.val }"),
    ("early_stopping_patience", "measurements without a better loss that end the run (0: never)"),
    ("early_stopping_threshold", "a loss is better when lower by this much (0)"),
    ("spike_factor", "the run stops when its loss rises by this factor (2; 0: never)"),
    ("checkpoint_every", "steps between checkpoints (0: at the end)"),
    ("save_total_limit", "checkpoints kept (all)"),
    ("sample_every", "steps between takes, written to samples/ in the run's folder (0: never)"),
    ("sample_chords", "chords the takes are over (none)"),
    ("sample_tokens", "tokens of a take (256)"),
    ("output_dir", "folder of the run; nothing is written without; also out"),
    ("track", "where the course of the run goes beside JSON lines: [\"tensorboard\", \"wandb\", \"mlflow\"]"),
    ("wandb_project", "its project in Weights & Biases; naming one adds the sink"),
    ("seed", "order of batches and dropout (the session's when absent)"),
];

impl Object for Trainer {
    const NAME: &'static str = "Trainer";
    const DOC: &'static str = "The training loop over a model and a dataset.\n\
        run.fit() trains to max_steps, run.step() one step, run.history is what happened.";

    fn line(&self) -> String {
        let run = self.run.borrow();
        let last = run.history().last().map_or_else(String::new, |s| format!(", loss {}", four_digits(s.loss)));
        format!(
            "Trainer: step {} of {}{last}",
            thousands(run.steps() as usize),
            thousands(run.options().max_steps as usize)
        )
    }

    fn text(&self, width: usize) -> String {
        format!("{}\n{}", self.line(), self.history().text(width))
    }
}

impl Trainer {
    fn history(&self) -> History {
        History::new(self.run.borrow().history().to_vec())
    }
}

pub(super) fn register(registry: &mut Registry) {
    construct(registry);
    let mut trainer = registry.object::<Trainer>();
    work(&mut trainer);
    trainer.get("history -> History", "What its steps did.", |t: &mut Trainer| t.history());
    trainer.get("model -> Model", "The model it trains.", |t: &mut Trainer| t.model.clone());
    trainer.get("steps -> int", "Steps done.", |t: &mut Trainer| t.run.borrow().steps() as i64);
    trainer.get("memory -> int", "Bytes of gradients, moments and the mean of the weights.", |t: &mut Trainer| {
        t.run.borrow().memory() as i64
    });
    trainer.get("options -> map", "The options of the run.", |t: &mut Trainer| -> Fallible<Dynamic> {
        let options = serde_json::to_value(t.run.borrow().options()).map_err(Error::internal)?;
        Ok(crate::script::convert::from_json(&options))
    });
}

fn construct(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "trainer(model: Model, data: Dataset) -> Trainer",
        "A run over a model and a dataset.",
        move |m: Model, d: Dataset| begin(&ctx, m, &d, Map::new()),
    );
    let ctx = registry.ctx();
    let member = registry.function(
        "trainer(model: Model, data: Dataset, options: map) -> Trainer",
        "A run over a model and a dataset.\nOptions:",
        move |m: Model, d: Dataset, map: Map| begin(&ctx, m, &d, map),
    );
    member.options = OPTIONS;
    let ctx = registry.ctx();
    registry.function(
        "resume(dir: string) -> Trainer",
        "Goes on with a run from its last checkpoint.",
        move |dir: &str| resume(&ctx, dir, Map::new()),
    );
    let ctx = registry.ctx();
    let member = registry.function(
        "resume(dir: string, options: map) -> Trainer",
        "Goes on with a run from its last checkpoint, with options of its own; data: dataset hands the data over instead of reading them again.\nOptions:",
        move |dir: &str, map: Map| resume(&ctx, dir, map),
    );
    member.options = OPTIONS;
    registry.function(
        "latest_checkpoint(dir: string) -> string",
        "The newest checkpoint of the run in a folder, or the folder itself when it is one; empty when there is none.",
        |dir: &str| {
            let latest = locate(dir).ok().and_then(|dir| train::Trainer::latest_checkpoint(&dir));
            latest.map_or_else(String::new, |path| path.display().to_string())
        },
    );
}

fn begin(ctx: &ScriptContext, model: Model, data: &Dataset, mut map: Map) -> Fallible<Trainer> {
    let eval_sets = EvalSets::take_from(&mut map)?;
    let data = match model.other_than(&data.0.tokenizer) {
        Some(own) => data.0.with_tokenizer(own, ctx.progress())?,
        None => {
            model.meets(&data.0.tokenizer)?;
            (*data.0).clone()
        }
    };
    let mut chosen: TrainOptions = options("trainer", &map)?;
    if !map.contains_key("seed") {
        chosen.seed = ctx.next_seed();
    }
    if let Some(dir) = chosen.output_dir.as_ref().and_then(|dir| dir.to_str()) {
        chosen.output_dir = Some(locate(dir)?);
    }
    FitCallbacks::check(&chosen)?;
    let run = train::Trainer::in_group(ctx.group()?, (*model.model()).clone(), data, chosen)?;
    Ok(Trainer { run: Rc::new(RefCell::new(run)), model, eval_sets })
}

fn resume(ctx: &ScriptContext, dir: &str, mut map: Map) -> Fallible<Trainer> {
    let data = match map.remove("data") {
        None => None,
        Some(value) => match value.read_lock::<Dataset>() {
            Some(dataset) => Some((*dataset.0).clone()),
            None => {
                return Err(Error::mistake(format!("resume: data must be a Dataset, not {}", article(&value))).into());
            }
        },
    };
    let eval_sets = EvalSets::take_from(&mut map)?;
    let overrides = json_map("resume", &map)?;
    Ok(Trainer { eval_sets, ..go_on(ctx, dir, data, &overrides)? })
}

/// The run of a folder, from its last checkpoint on.
pub(super) fn go_on(
    ctx: &ScriptContext,
    dir: &str,
    data: Option<data::Dataset>,
    overrides: &Value,
) -> Fallible<Trainer> {
    let (group, device) = (ctx.group()?, ctx.device());
    let dir = locate(dir)?;
    let run = train::Trainer::resume_in_group(&group, &dir, data, overrides, &device, ctx.progress())?;
    FitCallbacks::check(run.options())?;
    let model = Model::new(run.model().clone(), Some(run.data().tokenizer.clone()));
    Ok(Trainer { run: Rc::new(RefCell::new(run)), model, eval_sets: EvalSets::default() })
}

fn work(trainer: &mut Members<Trainer>) {
    let ctx = trainer.ctx();
    trainer.method(
        "step() -> map",
        "One step: micro-batches, backward, clip, update. Gives what it did.",
        move |t: &mut Trainer| -> Fallible<Map> { Ok(step_map(&t.run.borrow_mut().step(ctx.progress())?)) },
    );
    let ctx = trainer.ctx();
    trainer.method(
        "fit()",
        "Steps until max_steps, measuring and saving on the way. When it was cancelled it goes on from there.",
        move |t: &mut Trainer| -> Fallible<()> {
            let mut callbacks = FitCallbacks::new(&ctx, t.eval_sets.clone());
            let mut run = t.run.borrow_mut();
            let Some(mut panel) = FitPanel::new(&ctx) else {
                return Ok(run.fit_with(ctx.progress(), &mut |run, event| callbacks.on_event(run, event))?);
            };
            // The panel replaces the progress bar.
            let progress = ctx.progress().quiet();
            Ok(run.fit_with(&progress, &mut |run, event| {
                let result = callbacks.on_event(run, event);
                panel.on_event(run, &event, callbacks.take.as_ref());
                result
            })?)
        },
    );
    let ctx = trainer.ctx();
    trainer.method("evaluate() -> float", "The held-out loss now.", move |t: &mut Trainer| -> Fallible<f64> {
        Ok(t.run.borrow().evaluate(ctx.progress())?)
    });
    trainer.method("save()", "Writes the model to the run's folder.", |t: &mut Trainer| -> Fallible<()> {
        Ok(t.run.borrow().save()?)
    });
}
