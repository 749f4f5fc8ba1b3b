//! The panel of a training run: displayed when `fit` begins, updated in place, final at the end. The latest sample is
//! below it in a display of its own; its player, which is large, is added once at the end.

use std::time::{Duration, Instant};

use crate::midi::Score;
use crate::plot;
use crate::progress::Progress;
use crate::script::context::ScriptContext;
use crate::script::objects::Score as Handle;
use crate::script::one_line::{counted, thousands};
use crate::script::{Bundle, Output, html};
use crate::track::Monitor;
use crate::train::{Step, TrainEvent, Trainer};

/// The interval between updates.
const UPDATE_EVERY: Duration = Duration::from_millis(400);
/// The interval between readings of the machine's load.
const LOAD_EVERY: Duration = Duration::from_secs(2);
/// The number of steps over which the speed is averaged.
const LATELY: usize = 10;

/// A panel.
pub(super) struct FitPanel {
    ctx: ScriptContext,
    id: u64,
    begun: Instant,
    /// Steps done before.
    before: u64,
    shown: Option<Instant>,
    /// The display of the latest sample, and the step of that sample.
    take: Option<(u64, u64)>,
    why: Option<String>,
    monitor: Monitor,
    load: Vec<String>,
    read: Option<Instant>,
}

impl FitPanel {
    /// A panel where displays can be updated; `None` elsewhere, where the progress bar suffices.
    pub(super) fn new(ctx: &ScriptContext) -> Option<Self> {
        ctx.live().then(|| Self {
            ctx: ctx.clone(),
            id: ctx.display_id(),
            begun: Instant::now(),
            before: 0,
            shown: None,
            take: None,
            why: None,
            monitor: Monitor::new(),
            load: Vec::new(),
            read: None,
        })
    }

    /// Handles an event of the run; `take` is the latest sample and its step.
    pub(super) fn on_event(&mut self, run: &Trainer, event: &TrainEvent<'_>, take: Option<&(u64, Score)>) {
        let over = match event {
            TrainEvent::Began => {
                self.begun = Instant::now();
                self.before = run.steps();
                false
            }
            TrainEvent::StoppedEarly(why) => {
                self.why = Some(format!("stopped early: {why}"));
                false
            }
            TrainEvent::Ended => true,
            _ => false,
        };
        if self.read.is_none_or(|at| at.elapsed() >= LOAD_EVERY) {
            // The first reading is the mean since boot, which does not describe the run.
            let load = self.monitor.words();
            self.load = if self.read.is_some() { load } else { Vec::new() };
            self.read = Some(Instant::now());
        }
        if over || self.shown.is_none_or(|at| at.elapsed() >= UPDATE_EVERY) {
            self.show(run, over, take);
        }
    }

    fn show(&mut self, run: &Trainer, over: bool, take: Option<&(u64, Score)>) {
        let view = self.view(run, over);
        let bundle = self.bundle(&view, over, take);
        let output = match self.shown {
            None => Output::Display { bundle, id: Some(self.id) },
            Some(_) => Output::Update { bundle, id: self.id },
        };
        self.ctx.say(output);
        self.shown = Some(Instant::now());
        if !self.ctx.rich() {
            return;
        }
        if over {
            // A console shows a display in its first state and does not support updates.
            self.ctx.say(Output::Text(view.text_line() + "\n"));
        }
        if let Some((step, score)) = take {
            self.show_take(*step, score, over);
        }
    }

    /// Shows the latest sample as a roll; its sound, which is slow and large, is added at the end.
    fn show_take(&mut self, step: u64, score: &Score, over: bool) {
        let score = Handle::new(score.clone());
        let Ok(Some(roll)) = score.roll(self.ctx.progress().interrupt()) else { return };
        if over {
            let bundle = score.player(&roll, &Progress::silent());
            self.ctx.say(Output::Display { bundle, id: None });
        }
        let words = take_words(step, &score.0);
        let picture = html::picture(roll.svg).with("text/plain", Some(words));
        match self.take {
            Some((id, shown)) if shown != step || over => {
                self.take = Some((id, step));
                self.ctx.say(Output::Update { bundle: picture, id });
            }
            None => {
                let id = self.ctx.display_id();
                self.take = Some((id, step));
                self.ctx.say(Output::Display { bundle: picture, id: Some(id) });
            }
            Some(_) => {}
        }
    }

    fn view(&self, run: &Trainer, over: bool) -> plot::Panel {
        let (steps, all) = (run.steps(), run.options().max_steps);
        let elapsed = self.begun.elapsed();
        let here = steps.saturating_sub(self.before);
        let history = run.history();
        let lately: Vec<f64> = history.iter().rev().take(LATELY).map(|s| s.tokens_per_second).collect();
        let state = match &self.why {
            Some(why) => why.clone(),
            None if !over && here == 0 => "preparing the first step".into(),
            None if !over => "training".into(),
            None if steps >= all => "trained".into(),
            None => "stopped".into(),
        };
        plot::Panel {
            state,
            steps: (steps, all),
            losses: history.iter().map(|s| s.loss).collect(),
            held_out: history.iter().enumerate().filter_map(|(i, s): (_, &Step)| Some((i + 1, s.val_loss?))).collect(),
            rates: history.iter().map(|s| s.lr).collect(),
            speed: lately.iter().sum::<f64>() / lately.len().max(1) as f64,
            elapsed,
            left: (!over && here > 0).then(|| elapsed.mul_f64(all.saturating_sub(steps) as f64 / here as f64)),
            load: self.load.clone(),
        }
    }

    fn bundle(&self, view: &plot::Panel, over: bool, take: Option<&(u64, Score)>) -> Bundle {
        let mut text = view.text(self.ctx.width());
        if let Some((step, score)) = take {
            text += &format!("\n{}", take_words(*step, score));
        }
        let bundle = Bundle::text(text);
        if !self.ctx.rich() {
            return bundle;
        }
        let bundle = bundle.with("image/svg+xml", Some(view.svg()));
        // The final picture must be visible in all viewers; during training only the current one matters.
        if over { html::with_picture(bundle) } else { bundle }
    }
}

/// "take after step 1,000: 1 note, 2.0 s"
fn take_words(step: u64, score: &Score) -> String {
    format!("take after step {}: {}, {:.1} s", thousands(step as usize), counted(score.len(), "note"), score.duration())
}
