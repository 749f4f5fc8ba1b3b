//! `Optimizer`: AdamW over the trainable parameters of a model; `Schedule`: the learning rate as a function of the
//! step.

use std::cell::RefCell;
use std::rc::Rc;

use rhai::{Dynamic, Map};

use crate::error::Error;
use crate::script::convert::{count, number, options};
use crate::script::failure::Fallible;
use crate::script::objects::{Grads, Model};
use crate::script::registry::{Object, Registry};
use crate::train::{self, AdamWOptions, ScheduleKind};

/// A handle to an optimizer.
#[derive(Debug, Clone)]
pub(crate) struct Optimizer(Rc<RefCell<train::AdamW>>);

/// A learning-rate schedule.
#[derive(Debug, Clone)]
pub(crate) struct Schedule(train::Schedule);

/// The options of `adamw`, with descriptions of [`AdamWOptions`].
pub(super) const OPTIONS: &[(&str, &str)] = &[
    ("lr", "learning rate (1e-3)"),
    ("betas", "decay of the two moments ([0.9, 0.999])"),
    ("eps", "added to the root of the second moment (1e-8)"),
    ("weight_decay", "decoupled weight decay (0.01); norms have none"),
    ("bits", "bits of the moments (32)"),
    ("loraplus_lr_ratio", "factor of the learning rate of adapters' B and of vectors: LoRA+ (1); 16 is usual"),
];

/// The options of `schedule`.
pub(super) const SCHEDULE_OPTIONS: &[(&str, &str)] = &[
    ("peak", "highest learning rate, reached after the warm-up (1e-3)"),
    ("warmup", "steps of linear warm-up (0)"),
    ("total", "the step at which min is reached (1000)"),
    ("min", "lowest learning rate (0)"),
    ("num_cycles", "cosines of cosine_with_restarts (1)"),
    ("power", "exponent of polynomial (1)"),
    ("num_decay_steps", "steps of the fall of wsd (a fifth of those after the warm-up)"),
];

impl Object for Optimizer {
    const NAME: &'static str = "Optimizer";
    const DOC: &'static str = "AdamW over what trains in a model: optimizer.step(loss.backward()) changes the weights.";

    fn line(&self) -> String {
        let adamw = self.0.borrow();
        format!("Optimizer: AdamW, lr {}, {} steps", adamw.lr(), adamw.steps())
    }
}

impl Object for Schedule {
    const NAME: &'static str = "Schedule";
    const DOC: &'static str = "The learning rate as a function of the step: optimizer.lr = schedule.at(step).";

    fn line(&self) -> String {
        let s = &self.0;
        let kind = ScheduleKind::NAMES[s.kind as usize];
        format!("Schedule: {kind}, peak {} after {} steps, {} at {}", s.peak, s.warmup, s.min, s.total)
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "adamw(model: Model) -> Optimizer",
        "AdamW with PyTorch's defaults over what trains in a model.",
        |m: Model| adamw(&m, &Map::new()),
    );
    let member = registry.function(
        "adamw(model: Model, options: map) -> Optimizer",
        "AdamW (Loshchilov & Hutter 2017) over what trains in a model.\nOptions, with PyTorch's names and defaults:",
        |m: Model, map: Map| adamw(&m, &map),
    );
    member.options = OPTIONS;
    let mut optimizer = registry.object::<Optimizer>();
    optimizer.get("lr -> float", "The learning rate of the next step.", |o: &mut Optimizer| o.0.borrow().lr());
    optimizer.set("lr", |o: &mut Optimizer, lr: Dynamic| -> Fallible<()> {
        Ok(o.0.borrow_mut().set_lr(number("lr", &lr)?)?)
    });
    optimizer.get("steps -> int", "Steps taken.", |o: &mut Optimizer| o.0.borrow().steps() as i64);
    optimizer.method(
        "step(grads: Grads)",
        "Changes the weights against their gradients.",
        |o: &mut Optimizer, grads: Grads| -> Fallible<()> { Ok(o.0.borrow_mut().step(&grads.0)?) },
    );
    schedules(registry);
}

fn adamw(model: &Model, map: &Map) -> Fallible<Optimizer> {
    let options: AdamWOptions = options("adamw", map)?;
    Ok(Optimizer(Rc::new(RefCell::new(train::AdamW::new(model.model().parameters(), options)?))))
}

fn schedules(registry: &mut Registry) {
    let member = registry.function(
        "schedule(kind: string, options: map) -> Schedule",
        "A learning rate that warms up to its peak, then falls: \"cosine\", \"cosine_with_restarts\", \"linear\", \"polynomial\",\n\
         \"inverse_sqrt\", \"wsd\" at the end only, \"constant\" never.\nOptions:",
        |kind: &str, map: Map| -> Fallible<Schedule> {
            let kind: ScheduleKind = kind.parse()?;
            if map.contains_key("kind") {
                return Err(Error::mistake("schedule takes its kind first: schedule(\"cosine\", #{ … })").into());
            }
            let schedule = train::Schedule { kind, ..options("schedule", &map)? };
            schedule.validate()?;
            Ok(Schedule(schedule))
        },
    );
    member.options = SCHEDULE_OPTIONS;
    let mut schedule = registry.object::<Schedule>();
    schedule.method(
        "at(step: int) -> float",
        "The learning rate of a step, the first being 0.",
        |s: &mut Schedule, step: Dynamic| -> Fallible<f64> { Ok(s.0.at(count("at: step", &step)?)) },
    );
}
