//! Interrupts by Ctrl-C. While a cell runs, the first press interrupts it, the second confirms that this was noticed, a
//! third soon after exits at once. At the prompt the line editor handles the key and clears the line.
//!
//! SIGTERM and SIGHUP interrupt the running work in the same way; at the prompt they do nothing, as in a shell (a
//! closed terminal ends the prompt by the end of its input).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::terminal::Terminal;
use crate::interrupt::Interrupt;

/// The exit code of an interrupted program: the shell's for SIGINT.
pub(super) const INTERRUPTED: i32 = 128 + 2;

/// The time within which a third press counts.
const SOON: Duration = Duration::from_secs(2);

/// The state shared by the signal handler and the prompt.
#[derive(Debug, Default)]
pub(super) struct Stop {
    interrupt: Interrupt,
    /// The presses since work began; `None` while nothing runs.
    presses: Mutex<Option<Presses>>,
}

#[derive(Debug, Default)]
struct Presses {
    count: u32,
    latest: Option<Instant>,
}

/// The effect of a press.
#[derive(Debug, PartialEq, Eq)]
enum PressAction {
    Nothing,
    Ask,
    Explain,
    Leave,
}

impl Stop {
    /// Installs the handler of this process.
    pub(super) fn install(terminal: &Arc<Terminal>) -> Arc<Self> {
        let stop = Arc::new(Self::default());
        let (handler, words) = (stop.clone(), terminal.clone());
        // A second handler in one process is refused; the first suffices.
        let _ = ctrlc::set_handler(move || handler.answer(&words));
        #[cfg(unix)]
        termination::answer(&stop, terminal);
        stop
    }

    /// Handles a press.
    fn answer(&self, terminal: &Terminal) {
        match self.press(Instant::now()) {
            PressAction::Nothing => {}
            PressAction::Ask => self.interrupt.trigger(),
            PressAction::Explain => terminal.warn(
                "stopping at the next safe place; to leave at once and lose the variables, press Ctrl-C again within 2 s",
            ),
            PressAction::Leave => {
                terminal.warn("left without waiting");
                std::process::exit(INTERRUPTED);
            }
        }
    }

    /// The interrupt flag for running work.
    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Runs `work`, which a press interrupts.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.interrupt.clear();
        *self.presses.lock().unwrap_or_else(PoisonError::into_inner) = Some(Presses::default());
        let result = work();
        *self.presses.lock().unwrap_or_else(PoisonError::into_inner) = None;
        result
    }

    fn press(&self, now: Instant) -> PressAction {
        let mut presses = self.presses.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Presses { count, latest }) = &mut *presses else { return PressAction::Nothing };
        let soon = latest.is_some_and(|before| now - before <= SOON);
        *latest = Some(now);
        *count += 1;
        match *count {
            1 => PressAction::Ask,
            2 => PressAction::Explain,
            _ if soon => PressAction::Leave,
            _ => PressAction::Explain,
        }
    }
}

/// Handles SIGTERM, and SIGHUP unless it is ignored: `nohup etude …` outlives its terminal.
#[cfg(unix)]
mod termination {
    use std::sync::Arc;
    use std::thread;

    use signal_hook::consts::{SIGHUP, SIGTERM};
    use signal_hook::iterator::Signals;

    use super::{Stop, Terminal};

    pub(super) fn answer(stop: &Arc<Stop>, terminal: &Arc<Terminal>) {
        let (stop, terminal) = (stop.clone(), terminal.clone());
        let signals = if hangup_is_ignored() { vec![SIGTERM] } else { vec![SIGTERM, SIGHUP] };
        // Without a handler the signals end the process.
        let Ok(mut signals) = Signals::new(signals) else { return };
        thread::spawn(move || signals.forever().for_each(|_| stop.answer(&terminal)));
    }

    /// True when SIGHUP is ignored, as Linux reports; elsewhere false.
    fn hangup_is_ignored() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presses_escalate_while_work_runs() {
        let stop = Stop::default();
        let now = Instant::now();
        assert_eq!(stop.press(now), PressAction::Nothing, "nothing runs");
        stop.during(|| {
            let answers: Vec<PressAction> = [0, 1, 9, 10].map(|s| stop.press(now + Duration::from_secs(s))).into();
            assert_eq!(answers, [PressAction::Ask, PressAction::Explain, PressAction::Explain, PressAction::Leave]);
        });
        assert_eq!(stop.press(now), PressAction::Nothing, "the work is over");
        stop.during(|| assert_eq!(stop.press(now), PressAction::Ask, "new work, new presses"));
    }
}
