//! The callbacks of `fit`: generates samples while the model trains, and prints messages on its course.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::generate::{self, GenerateOptions, Sampler, SamplerOptions};
use crate::harmony::Chart;
use crate::midi::Score;
use crate::script::Output;
use crate::script::context::ScriptContext;
use crate::script::objects::eval_sets::{EvalSetFigures, EvalSets};
use crate::script::objects::tracking::Tracking;
use crate::train::{TrainEvent, TrainOptions, Trainer};

/// The folder of the samples in that of the run.
const SAMPLES: &str = "samples";

/// Receives the events of one `fit`.
pub(super) struct FitCallbacks {
    ctx: ScriptContext,
    /// The latest sample, and the step after which it was generated.
    pub(super) take: Option<(u64, Score)>,
    eval_sets: EvalSets,
    tracking: Option<Tracking>,
}

impl FitCallbacks {
    pub(super) fn new(ctx: &ScriptContext, eval_sets: EvalSets) -> Self {
        Self { ctx: ctx.clone(), take: None, eval_sets, tracking: None }
    }

    /// Refuses options that would fail only later in a run.
    pub(super) fn check(options: &TrainOptions) -> Result<()> {
        chart(options)?;
        Tracking::check(options)?;
        if options.sample_every > 0 && options.output_dir.is_none() {
            return Err(Error::mistake(format!("sample_every is {}, but the run has no folder", options.sample_every))
                .with_hint("give the trainer one: out: \"my_run\""));
        }
        Ok(())
    }

    pub(super) fn on_event(&mut self, run: &Trainer, event: TrainEvent<'_>) -> Result<()> {
        match event {
            TrainEvent::Began => {
                run.notes().iter().for_each(|note| self.say(note));
                self.tracking = Tracking::start(&self.ctx, run);
            }
            TrainEvent::SampleDue(step) => self.play(run, step)?,
            TrainEvent::StoppedEarly(why) => self.say(&format!("stopped early: {why}")),
            TrainEvent::Ended => self.farewell(run),
            TrainEvent::Measured(step) => self.measure(run, step.step)?,
            TrainEvent::Stepped(_) | TrainEvent::Saved(_) => {}
        }
        if let Some(tracking) = &mut self.tracking {
            tracking.on_event(run, &event, self.take.as_ref());
        }
        Ok(())
    }

    /// Measures the named sets, prints their figures and logs them.
    fn measure(&mut self, run: &Trainer, step: u64) -> Result<()> {
        let figures = self.eval_sets.measure(run, &self.ctx.progress().quiet())?;
        if figures.is_empty() {
            return Ok(());
        }
        let of_a_set =
            |set: &EvalSetFigures| format!("{} {:.2} ({:.3} nats a token)", set.name, set.bits_per_note, set.loss);
        let all: Vec<String> = figures.iter().map(of_a_set).collect();
        self.ctx.say(Output::Text(format!("step {step}, bits a note: {}\n", all.join(", "))));
        if let Some(tracking) = &mut self.tracking {
            tracking.eval_sets(step, &figures);
        }
        Ok(())
    }

    /// Generates a sample and writes it to the run's folder.
    fn play(&mut self, run: &Trainer, step: u64) -> Result<()> {
        let options = run.options();
        let Some(out) = &options.output_dir else { return Ok(()) };
        let sampler = SamplerOptions { temperature: 0.9, top_p: 0.95, seed: options.seed, ..SamplerOptions::default() };
        let wanted = GenerateOptions {
            chords: chart(options)?,
            max_new_tokens: options.sample_tokens,
            ..GenerateOptions::default()
        };
        let tokenizer = &run.data().tokenizer;
        let progress = self.ctx.progress().quiet();
        let takes = generate::generate(run.model(), tokenizer, &Sampler::new(sampler)?, &wanted, &progress)?;
        let score = generate::finish(tokenizer, takes.first().map_or(&[], Vec::as_slice), &wanted);
        let path = take_path(out, step);
        std::fs::create_dir_all(out.join(SAMPLES)).map_err(|e| Error::io("cannot make the folder", out, e))?;
        score.write(&path)?;
        self.take = Some((step, score));
        Ok(())
    }

    /// Prints how to continue, if the run is not finished.
    fn farewell(&self, run: &Trainer) {
        let (done, all) = (run.steps(), run.options().max_steps);
        let stopped = self.ctx.progress().interrupt().is_set();
        let Some(out) = run.options().output_dir.as_deref().filter(|_| stopped && done < all) else { return };
        if let Some(checkpoint) = Trainer::latest_checkpoint(out) {
            let (folder, checkpoint) = (out.display(), checkpoint.display());
            self.say(&format!(
                "stopped at step {done} of {all}, kept in {checkpoint}; to go on: etude train --resume --output_dir \
                 {folder} (in a script: resume(\"{folder}\"))"
            ));
        }
    }

    fn say(&self, text: &str) {
        self.ctx.say(Output::Warning(text.into()));
    }
}

fn chart(options: &TrainOptions) -> Result<Option<Chart>> {
    if options.sample_chords.trim().is_empty() {
        return Ok(None);
    }
    options.sample_chords.parse().map(Some).map_err(|e: Error| e.context("sample_chords"))
}

fn take_path(out: &std::path::Path, step: u64) -> PathBuf {
    out.join(SAMPLES).join(format!("step-{step:06}.mid"))
}
