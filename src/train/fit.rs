//! `Trainer::fit`: all steps of a run, with evaluation, samples and checkpoints.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::progress::{Progress, Task, thousands};
use crate::train::checkpoint::{checkpoints, is_checkpoint, numbered, set_aside};
use crate::train::{Callback, FolderLock, Step, TrainEvent, Trainer, divergence, run_files};

impl Trainer {
    /// Trains until `max_steps`, with evaluation and checkpoints on the way.
    ///
    /// # Errors
    /// See [`Trainer::step`]; finished steps are kept, in `output_dir` too, and `fit` continues from there when called
    /// again.
    pub fn fit(&mut self, progress: &Progress) -> Result<()> {
        self.fit_with(progress, &mut |_, _| Ok(()))
    }

    /// [`Trainer::fit`] with a callback.
    ///
    /// # Errors
    /// As [`Trainer::fit`], and what `watch` fails with. A run that diverges goes back to its last good checkpoint and
    /// says so.
    pub fn fit_with(&mut self, progress: &Progress, watch: &mut Callback<'_>) -> Result<()> {
        let _lock = match self.check_folder() {
            Ok(lock) => lock,
            Err(error) => {
                // Nothing is written into the folder of another run.
                self.group.fail(error.message());
                return Err(error);
            }
        };
        let done = self.run(progress, watch).map_err(|reason| self.leave(reason));
        let ended = self.tell(watch, TrainEvent::Ended);
        if done.is_err() {
            self.group.wait_for_first();
        }
        done.and(ended)
    }

    /// Checks, repairs and locks the folder.
    fn check_folder(&mut self) -> Result<Option<FolderLock>> {
        let Some(out) = self.options.output_dir.clone().filter(|_| self.group.is_first()) else { return Ok(None) };
        if is_checkpoint(&out) {
            return Err(Error::mistake(format!("{} is a checkpoint of a run, not a folder for one", out.display()))
                .with_hint("name another output_dir; going on from a checkpoint writes to the folder it lies in"));
        }
        run_files::check_writable(&out)?;
        let lock = FolderLock::take(&out)?;
        run_files::mend(&out);
        if let Some(saved) = self.saved {
            self.leave_later(&out, saved)?;
        }
        Ok(Some(lock))
    }

    /// Checkpoints after the one that a run resumes from are of an abandoned course, or damaged. They are renamed, so
    /// that the run does not write over them.
    fn leave_later(&mut self, out: &Path, saved: u64) -> Result<()> {
        for (step, path) in numbered(out).into_iter().filter(|(step, _)| *step > saved) {
            let word = if is_checkpoint(&path) && run_files::damage(&path).is_none() { "left" } else { "damaged" };
            let aside = run_files::rename_aside(&path, word)?;
            let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.notes
                .push(format!("checkpoint-{step} is called {name} from now on: the run goes on from step {saved}"));
        }
        Ok(())
    }

    /// Calls the callback; of several ranks only on the first. Cancellation there is not an error: all ranks end after
    /// the same step, as the next step finds out.
    fn tell(&self, watch: &mut Callback<'_>, event: TrainEvent<'_>) -> Result<()> {
        if self.group.is_first() { self.unless_stopped(watch(self, event)) } else { Ok(()) }
    }

    fn unless_stopped(&self, done: Result<()>) -> Result<()> {
        match done {
            Err(error) if error.is_interrupted() && !self.group.is_single() => Ok(()),
            done => done,
        }
    }

    /// Ends the run with an error: the other ranks are told, and the first one keeps finished steps.
    fn leave(&mut self, reason: Error) -> Error {
        if !(reason.is_interrupted() || self.diverged) {
            self.group.fail(reason.message());
        }
        match self.group.is_first() {
            true if self.diverged => self.fall_back(reason),
            true => {
                let reason = self.keep(reason);
                self.say_where(reason)
            }
            false => reason,
        }
    }

    /// Adds where to resume to an error whose cause is another rank.
    fn say_where(&self, reason: Error) -> Error {
        let (kept, all) = (self.saved.filter(|&step| step >= self.steps()), self.options.max_steps);
        match (&self.options.output_dir, kept) {
            (Some(out), Some(step)) if self.group.trouble().is_some() && reason.hint().is_none() => {
                let folder = out.join(format!("checkpoint-{step}"));
                reason.with_hint(format!(
                    "step {step} of {all} is kept in {}; start the ranks again with --resume",
                    folder.display()
                ))
            }
            _ => reason,
        }
    }

    fn run(&mut self, progress: &Progress, watch: &mut Callback<'_>) -> Result<()> {
        self.tell(watch, TrainEvent::Began)?;
        let left = self.options.max_steps.saturating_sub(self.steps());
        let mut task = progress.task("training", Some(left), "steps");
        if left > 0 {
            task.note(self.first_words());
            self.unless_stopped(task.advance(0))?;
        }
        loop {
            self.settle(progress, &mut task, watch)?;
            if let Some(reason) = self.enough() {
                self.checkpoint_if_due(true, watch)?;
                self.tell(watch, TrainEvent::StoppedEarly(&reason))?;
                break;
            }
            if self.steps() >= self.options.max_steps {
                break;
            }
            let step = self.step(progress)?;
            task.note(words(&step));
            self.tell(watch, TrainEvent::Stepped(&step))?;
            self.unless_stopped(task.advance(1))?;
        }
        if self.options.output_dir.is_some() { self.save() } else { Ok(()) }
    }

    /// The text of the progress bar before the first step.
    fn first_words(&self) -> String {
        let Self { model, options, .. } = self;
        let rows = options.rows() * self.micro_batches();
        let first = format!("the first step, {rows} rows of {} tokens, is under way", self.data.train.width());
        match model.device().is_cpu() {
            true => first,
            false => format!("{first}; kernels that are not there yet are compiled, once"),
        }
    }

    /// Does what is due after the last step: evaluation, a sample, a checkpoint.
    fn settle(&mut self, progress: &Progress, task: &mut Task, watch: &mut Callback<'_>) -> Result<()> {
        let Some(&last) = self.history.last() else { return Ok(()) };
        let at_end = last.step >= self.options.max_steps;
        let due = |every: u64| every > 0 && (at_end || last.step.is_multiple_of(every));
        if due(self.options.eval_every) && last.val_loss.is_none() {
            task.note(format!("{}  measuring", words(&last)));
            self.unless_stopped(task.advance(0))?;
            self.measure(progress, task, watch)?;
        }
        if due(self.options.sample_every) && self.saved != Some(last.step) {
            self.tell(watch, TrainEvent::SampleDue(last.step))?;
        }
        self.checkpoint_if_due(at_end || due(self.options.checkpoint_every), watch)
    }

    fn measure(&mut self, progress: &Progress, task: &mut Task, watch: &mut Callback<'_>) -> Result<()> {
        let loss = self.evaluate(&progress.quiet())?;
        let best = self.history.iter().filter_map(|step| step.val_loss).all(|other| loss < other);
        let Some(last) = self.history.last_mut() else { return Ok(()) };
        last.val_loss = Some(loss);
        let last = *last;
        task.note(words(&last));
        if best && self.options.output_dir.is_some() && self.group.is_first() {
            self.save_best()?;
        }
        self.tell(watch, TrainEvent::Measured(&last))
    }

    fn checkpoint_if_due(&mut self, due: bool, watch: &mut Callback<'_>) -> Result<()> {
        if !due || self.options.output_dir.is_none() || self.saved == Some(self.steps()) {
            return Ok(());
        }
        if !self.group.is_first() {
            self.saved = Some(self.steps()); // by the first one
            return Ok(());
        }
        let folder = self.checkpoint()?;
        self.tell(watch, TrainEvent::Saved(&folder))
    }

    /// The reason to stop early, if the held-out loss has not improved for `early_stopping_patience` evaluations.
    fn enough(&self) -> Option<String> {
        let patience = self.options.early_stopping_patience;
        if patience == 0 || self.steps() >= self.options.max_steps {
            return None;
        }
        let measured = self.history.iter().filter_map(|step| Some((step.step, step.val_loss?)));
        let (mut best, mut since) = ((0, f64::INFINITY), 0);
        for (step, loss) in measured {
            if loss < best.1 - self.options.early_stopping_threshold {
                (best, since) = ((step, loss), 0);
            } else {
                since += 1;
            }
        }
        let (step, loss) = best;
        (since >= patience).then(|| {
            format!(
                "the held-out loss has not fallen for {since} measurements; it was lowest at step {step}, {loss:.4}"
            )
        })
    }

    /// Saves finished steps after a cancellation or a failure.
    fn keep(&mut self, reason: Error) -> Error {
        self.look_after_first();
        let unsaved = self.options.output_dir.is_some() && self.steps() > 0 && self.saved < Some(self.steps());
        match if unsaved { self.checkpoint().map(|_| ()) } else { Ok(()) } {
            Ok(()) => reason,
            Err(error) => match reason.hint().map(String::from) {
                Some(hint) => reason.with_hint(format!("{hint} (what was done since could not be saved)")),
                None => reason.with_hint(format!("what was done could not be saved: {}", error.message())),
            },
        }
    }

    /// A rank that takes over from one that died reads the checkpoints from disk: the other may have died before it had
    /// written the last one, or have written that of a step which this rank did not finish.
    fn look_after_first(&mut self) {
        if let Some(out) = self.options.output_dir.as_deref().filter(|_| self.group.rank() != 0 && self.saved.is_some())
        {
            self.saved = checkpoints(out).pop().map(|(step, _)| step);
        }
    }

    /// Goes back to the last good checkpoint, and says so.
    fn fall_back(&mut self, reason: Error) -> Error {
        let failed = self.steps() + 1;
        let advice = match self.last_good(failed) {
            Ok(Some(folder)) => match self.back_to(&folder) {
                Ok(()) => format!("the run is back at its last good checkpoint, {}", folder.display()),
                Err(error) => format!("{} could not be read: {}", folder.display(), error.message()),
            },
            Ok(None) => return self.keep(reason),
            Err(error) => format!("its checkpoints could not be put in order: {}", error.message()),
        };
        let hint = reason.hint().map(|hint| hint.split(';').next().unwrap_or(hint).to_string());
        reason.with_hint(format!("{}{advice}", hint.map_or(String::new(), |hint| hint + "; ")))
    }

    /// The newest checkpoint from before the divergence; those after it are set aside.
    fn last_good(&mut self, failed: u64) -> Result<Option<PathBuf>> {
        let Some(saved) = self.saved else { return Ok(None) };
        let out = self.out()?.to_path_buf();
        let ours: Vec<_> = checkpoints(&out).into_iter().filter(|(step, _)| *step <= saved).collect();
        // With finite weights, only the last steps can have caused a loss that is not finite.
        let margin = if divergence::finite(&self.parameters)? { divergence::RECENT as u64 } else { 1 };
        let early = |step: u64| step + margin < failed;
        let calm = |step: u64| divergence::was_calm(&self.history, step, self.options.spike_factor);
        let at = ours.iter().rposition(|(step, _)| early(*step) && calm(*step));
        let Some(at) = at.or_else(|| ours.iter().rposition(|(step, _)| early(*step))) else { return Ok(None) };
        for (_, folder) in &ours[at + 1..] {
            set_aside(folder)?;
        }
        Ok(Some(ours[at].1.clone()))
    }
}

/// "loss 2.31  lr 1.0e-4  3,412 tok/s"
fn words(step: &Step) -> String {
    let Step { loss, lr, tokens_per_second: speed, val_loss, .. } = step;
    let speed = thousands(speed.round() as u64);
    let held_out = val_loss.map_or(String::new(), |loss| format!("  held out {loss:.2}"));
    format!("loss {loss:.2}  lr {lr:.1e}  {speed} tok/s{held_out}")
}
