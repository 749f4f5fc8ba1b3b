//! A run from where it stands to its last step, measured and saved on the way.

use crate::error::Result;
use crate::progress::{Progress, Task};
use crate::train::{Step, Trainer};

impl Trainer {
    /// Steps until `max_steps`, measuring and saving on the way.
    ///
    /// # Errors
    /// See [`Trainer::step`]; what was done is kept, in `out` too, and `fit` goes on from there when called again.
    pub fn fit(&mut self, progress: &Progress) -> Result<()> {
        let Err(reason) = self.run(progress) else { return Ok(()) };
        let unsaved = self.options.out.is_some() && self.steps() > 0 && self.saved != Some(self.steps());
        match if unsaved { self.checkpoint() } else { Ok(()) } {
            Ok(()) => Err(reason),
            Err(error) => Err(reason.with_hint(format!("what was done could not be saved: {}", error.message()))),
        }
    }

    fn run(&mut self, progress: &Progress) -> Result<()> {
        let left = self.options.max_steps.saturating_sub(self.steps());
        let mut task = progress.task("training", Some(left), "steps");
        loop {
            self.settle(progress, &mut task)?;
            if self.steps() >= self.options.max_steps {
                break;
            }
            let step = self.step(progress)?;
            task.note(words(&step));
            task.advance(1)?;
        }
        if self.options.out.is_some() { self.save() } else { Ok(()) }
    }

    /// Does what the last step still owes: a measurement, a checkpoint.
    fn settle(&mut self, progress: &Progress, task: &mut Task) -> Result<()> {
        let Some(&last) = self.history.last() else { return Ok(()) };
        let at_end = last.step >= self.options.max_steps;
        let due = |every: u64| every > 0 && (at_end || last.step.is_multiple_of(every));
        if due(self.options.eval_every) && last.val_loss.is_none() {
            task.note(format!("{}  measuring", words(&last)));
            task.advance(0)?;
            let loss = self.evaluate(&progress.quiet())?;
            let best = self.history.iter().filter_map(|step| step.val_loss).all(|other| loss < other);
            if let Some(last) = self.history.last_mut() {
                last.val_loss = Some(loss);
                task.note(words(last));
            }
            if best && self.options.out.is_some() {
                self.save_best()?;
            }
        }
        let checkpoint = at_end || due(self.options.checkpoint_every);
        if checkpoint && self.options.out.is_some() && self.saved != Some(last.step) {
            self.checkpoint()?;
        }
        Ok(())
    }
}

/// "loss 2.31  lr 1.0e-4  3.4k tok/s"
fn words(step: &Step) -> String {
    let Step { loss, lr, tokens_per_second: speed, val_loss, .. } = step;
    let speed = if *speed < 1000.0 { format!("{speed:.0}") } else { format!("{:.1}k", speed / 1000.0) };
    let held_out = val_loss.map_or(String::new(), |loss| format!("  held out {loss:.2}"));
    format!("loss {loss:.2}  lr {lr:.1e}  {speed} tok/s{held_out}")
}
