//! The panel of a run: shown when `fit` begins, updated in place while it goes on, left as it is at the end.

use std::time::{Duration, Instant};

use crate::midi::Score;
use crate::plot;
use crate::progress::Progress;
use crate::script::objects::{Audio, Score as Handle};
use crate::script::studio::Studio;
use crate::script::{Bundle, Output, html};
use crate::track::Monitor;
use crate::train::{Event, Step, Trainer};

/// Between two updates.
const UPDATE_EVERY: Duration = Duration::from_millis(400);
/// Between two readings of the machine.
const LOAD_EVERY: Duration = Duration::from_secs(2);
/// The speed is that of so many steps.
const LATELY: usize = 10;

/// One panel.
pub(super) struct Panel {
    studio: Studio,
    id: u64,
    begun: Instant,
    /// Steps that were done before.
    before: u64,
    shown: Option<Instant>,
    why: Option<String>,
    monitor: Monitor,
    load: Vec<String>,
    read: Option<Instant>,
}

impl Panel {
    /// A panel where displays can be updated; elsewhere the plain bar of the task serves.
    pub(super) fn new(studio: &Studio) -> Option<Self> {
        studio.live().then(|| Self {
            studio: studio.clone(),
            id: studio.display_id(),
            begun: Instant::now(),
            before: 0,
            shown: None,
            why: None,
            monitor: Monitor::new(),
            load: Vec::new(),
            read: None,
        })
    }

    /// What happened in the run; `take` is the latest take of the model and the step after which it was played.
    pub(super) fn hear(&mut self, run: &Trainer, event: &Event<'_>, take: Option<&(u64, Score)>) {
        let over = match event {
            Event::Began => {
                self.begun = Instant::now();
                self.before = run.steps();
                false
            }
            Event::StoppedEarly(why) => {
                self.why = Some(format!("stopped early: {why}"));
                false
            }
            Event::Ended => true,
            _ => false,
        };
        if self.read.is_none_or(|at| at.elapsed() >= LOAD_EVERY) {
            // The first reading is the mean since the machine began, which says nothing of the run.
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
        self.studio.say(output);
        self.shown = Some(Instant::now());
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
        let mut text = view.text(self.studio.width());
        if let Some((step, score)) = take {
            text += &format!("\ntake after step {step}: {} notes, {:.1} s", score.len(), score.duration());
        }
        let bundle = Bundle::text(text);
        if !self.studio.rich() {
            return bundle;
        }
        let take = take.map_or_else(String::new, |(step, score)| self.played(*step, score, over));
        bundle.with("text/html", Some(format!("<div>{}{take}</div>", plot::inline(&view.svg()))))
    }

    /// The latest take; what takes time and room, its sound, comes at the end only.
    fn played(&self, step: u64, score: &Score, over: bool) -> String {
        let score = Handle::new(score.clone());
        let note = html::note(&format!("a take after step {step}"));
        let Some(roll) = score.roll() else { return note };
        match over.then(|| Audio::of(&score, &Progress::silent())) {
            Some(Ok((sound, _))) => format!("{note}{}", html::moving_roll(&roll, &sound)),
            _ => format!("{note}{}", html::picture(&roll.svg)),
        }
    }
}
