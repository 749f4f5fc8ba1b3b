//! Several trials at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::state::Sweep;
use super::trial::{Standing, Trial};
use crate::error::{Error, Result};
use crate::progress::{Progress, Task};

/// Between two looks at the trials.
const LOOK: Duration = Duration::from_millis(100);
/// Failed trials, before one succeeds, that end the sweep: the cause is not in the values.
const FLOPS: usize = 3;

/// A trial at work.
pub trait Worker {
    /// What it has measured so far.
    fn values(&mut self) -> Vec<f64>;

    /// How it ended and, if it failed, why; none while it goes on.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn ended(&mut self) -> Result<Option<(Standing, String)>>;

    /// Asks it to stop at the next safe place.
    fn stop(&mut self);
}

/// Begins a trial.
type Launch<'a> = &'a mut dyn FnMut(&Trial) -> Result<Box<dyn Worker>>;

struct Hand {
    worker: Box<dyn Worker>,
    /// Whether it was asked to stop because it lags behind.
    lags: bool,
}

impl Sweep {
    /// Runs up to `count` trials, `jobs` at a time, each begun by `launch`; `watch` sees the sweep whenever it may have
    /// changed. Gives how many came to an end.
    ///
    /// # Errors
    /// What `launch` fails with, and trials that all fail. Cancelling asks the trials to stop, waits for them, and leaves
    /// them for the next time.
    pub fn run(
        &mut self,
        count: Option<u64>,
        jobs: usize,
        launch: Launch<'_>,
        watch: &mut dyn FnMut(&Self),
        progress: &Progress,
    ) -> Result<u64> {
        let mut hands = BTreeMap::new();
        let result = self.work((count, jobs.max(1)), launch, watch, progress, &mut hands);
        if result.is_err() {
            self.leave(&mut hands)?;
        }
        result
    }

    fn work(
        &mut self,
        (count, jobs): (Option<u64>, usize),
        launch: Launch<'_>,
        watch: &mut dyn FnMut(&Self),
        progress: &Progress,
        hands: &mut BTreeMap<u64, Hand>,
    ) -> Result<u64> {
        let left = self
            .total()
            .map(|all| all - (self.trials().iter().filter(|t| t.standing.is_over()).count() as u64).min(all));
        let mut task = progress.task("sweeping", [count, left].into_iter().flatten().min(), "trials");
        let (mut begun, mut over) = (0, 0);
        let mut flops = Vec::new();
        loop {
            while hands.len() < jobs && count.is_none_or(|count| begun < count) {
                let Some(trial) = self.next_trial()? else { break };
                begun += 1;
                let number = trial.number;
                let worker = launch(&trial).inspect_err(|_| {
                    // What could not begin comes again.
                    let _ = self.end(number, Standing::Interrupted, "");
                })?;
                hands.insert(number, Hand { worker, lags: false });
            }
            if hands.is_empty() {
                // A few trials, all of which failed, are not a success either.
                return if over > 0 && over == flops.len() as u64 && self.best().is_none() {
                    Err(self.flop("all", &flops))
                } else {
                    Ok(over)
                };
            }
            let ended = self.look(hands)?;
            let more = (ended.failed.len() + ended.others) as u64;
            over += more;
            flops.extend(ended.failed);
            if flops.len() >= FLOPS && over == flops.len() as u64 {
                return Err(self.flop("the first", &flops));
            }
            watch(self);
            self.tell(&mut task, hands.len());
            task.advance(more)?;
            if more == 0 {
                std::thread::sleep(LOOK);
            }
        }
    }

    /// The trials all failed, which the values are hardly to blame for: they come again.
    fn flop(&mut self, which: &str, flops: &[u64]) -> Error {
        let why = flops.last().and_then(|last| self.trial(*last)).map_or_else(String::new, |trial| trial.note.clone());
        for &number in flops {
            // The error that is told is that of the trials; the cause of each stays in the table.
            let cause = self.trial(number).map_or_else(String::new, |trial| trial.note.clone());
            let _ = self.end(number, Standing::Interrupted, &cause);
        }
        let which = match flops.len() {
            1 => "the trial".into(),
            some => format!("{which} {some} trials"),
        };
        Error::mistake(format!("{which} failed: {why}"))
            .with_hint("mend what they have in common, and run the sweep again")
    }

    /// Takes in what the trials have done since.
    fn look(&mut self, hands: &mut BTreeMap<u64, Hand>) -> Result<Ended> {
        let mut ended = Ended::default();
        let mut over = Vec::new();
        for (&number, hand) in hands.iter_mut() {
            // Asked before its values, so that none of them comes too late.
            let end = hand.worker.ended()?;
            self.report(number, &hand.worker.values());
            if let Some((standing, note)) = end {
                let standing = match standing {
                    Standing::Interrupted if hand.lags => Standing::Stopped,
                    other => other,
                };
                over.push((number, standing, note));
            }
        }
        for (number, standing, note) in over {
            hands.remove(&number);
            self.end(number, standing, &note)?;
            match standing {
                Standing::Failed => ended.failed.push(number),
                Standing::Interrupted => return Err(Error::interrupted()), // somebody else stopped it
                _ => ended.others += 1,
            }
        }
        for number in self.lagging() {
            if let Some(hand) = hands.get_mut(&number).filter(|hand| !hand.lags) {
                hand.lags = true;
                hand.worker.stop();
            }
        }
        Ok(ended)
    }

    fn tell(&self, task: &mut Task, running: usize) {
        let best = self.best().and_then(|best| Some((best.number, self.value(best)?)));
        let best = best.map_or(String::new(), |(number, value)| format!("best {value:.4} (trial {number})  "));
        task.note(format!("{best}{running} under way"));
    }

    /// Stops what is at work and waits for it.
    fn leave(&mut self, hands: &mut BTreeMap<u64, Hand>) -> Result<()> {
        hands.values_mut().for_each(|hand| hand.worker.stop());
        for (number, mut hand) in std::mem::take(hands) {
            let end = loop {
                match hand.worker.ended() {
                    Ok(None) => std::thread::sleep(LOOK),
                    Ok(Some(end)) => break end,
                    Err(_) => break (Standing::Interrupted, String::new()),
                }
            };
            self.report(number, &hand.worker.values());
            let standing = if hand.lags && end.0 == Standing::Interrupted { Standing::Stopped } else { end.0 };
            self.end(number, standing, &end.1)?;
        }
        Ok(())
    }
}

/// What ended between two looks.
#[derive(Debug, Default)]
struct Ended {
    /// The numbers of those that failed.
    failed: Vec<u64>,
    others: usize,
}
