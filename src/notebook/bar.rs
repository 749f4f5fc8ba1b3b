//! Progress bars in a notebook: one display updated in place while a task runs, and a line of text at the end.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use etude_kernel::{Bundle, Outbox, Output};

use super::forms::display_id;
use crate::progress::{ProgressSink, Snapshot};

/// The shortest task that is shown.
const FIRST_SHOWN: Duration = Duration::from_millis(700);
/// The interval between updates.
const UPDATE_EVERY: Duration = Duration::from_millis(200);
/// The ids of bars count down from the maximum; ids of a session's own displays count up from 0.
const LAST_ID: u64 = u64::MAX;

/// The bars of running tasks; nested tasks are below each other in one display.
#[derive(Debug)]
pub(super) struct ProgressBar {
    outbox: Outbox,
    state: Mutex<BarState>,
}

#[derive(Debug, Default)]
struct BarState {
    /// The running tasks, the outermost first.
    live: Vec<Snapshot>,
    /// Their display, if there is one, and the time of its last update.
    shown: Option<(u64, Instant)>,
    /// The number of displays so far.
    count: u64,
}

impl ProgressBar {
    /// A bar that is displayed through `outbox`.
    pub(super) fn new(outbox: Outbox) -> Self {
        Self { outbox, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, BarState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_or_update(&self, state: &mut BarState, task: &Snapshot) {
        match state.live.iter_mut().find(|known| known.title == task.title) {
            Some(known) => *known = task.clone(),
            None => state.live.push(task.clone()),
        }
        let now = Instant::now();
        match state.shown {
            None if state.live[0].elapsed >= FIRST_SHOWN => {
                let id = LAST_ID - state.count;
                state.count += 1;
                state.shown = Some((id, now));
                self.outbox.send(Output::Display { bundle: running(&state.live), id: Some(display_id(id)) });
            }
            Some((id, at)) if now - at >= UPDATE_EVERY => {
                state.shown = Some((id, now));
                self.outbox.send(Output::Update { bundle: running(&state.live), id: display_id(id) });
            }
            _ => {}
        }
    }

    fn end(&self, state: &mut BarState, task: &Snapshot) {
        let Some(at) = state.live.iter().position(|known| known.title == task.title) else { return };
        // Nested tasks have ended, too.
        state.live.truncate(at);
        if let (0, Some((id, _))) = (at, state.shown.take_if(|_| at == 0)) {
            // A console does not support updates and shows a display in its first state: the result is printed as text,
            // and the bar is removed.
            self.outbox.send(Output::Update { bundle: Bundle::text(""), id: display_id(id) });
            self.outbox.send(Output::Stdout(format!("{}\n", task.summary())));
        }
    }
}

impl ProgressSink for ProgressBar {
    fn show(&self, task: &Snapshot) {
        let mut state = self.state();
        if task.finished {
            self.end(&mut state, task);
        } else {
            self.begin_or_update(&mut state, task);
        }
    }
}

/// The tasks as bars, a line each.
fn running(tasks: &[Snapshot]) -> Bundle {
    let mut html = String::new();
    let mut text = Vec::new();
    for task in tasks {
        text.push(task.plain());
        let value = task.total.map_or_else(String::new, |total| format!(" value=\"{}\" max=\"{total}\"", task.done));
        let _ = write!(
            html,
            "<div style=\"display:flex;gap:0.8em;align-items:center;font-variant-numeric:tabular-nums\">\
             <span>{}</span><progress style=\"flex:0 1 16em\"{value}></progress><span>{}</span></div>",
            escaped(&task.title),
            escaped(&task.words().join(" · ")),
        );
    }
    Bundle::text(text.join("\n")).with("text/html", html)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(title: &str, ms: u64, finished: bool) -> Snapshot {
        Snapshot {
            title: title.into(),
            unit: "steps",
            done: 3,
            total: Some(9),
            note: "a < b".into(),
            elapsed: Duration::from_millis(ms),
            finished,
            stopped: true,
        }
    }

    #[test]
    fn a_short_task_shows_nothing() {
        let (outbox, seen) = Outbox::recorder();
        let bar = ProgressBar::new(outbox);
        bar.show(&task("reading", 0, false));
        bar.show(&task("reading", 300, false));
        bar.show(&task("reading", 400, true));
        assert!(seen.take().is_empty());
    }

    #[test]
    fn a_long_task_lives_in_one_display_and_leaves_a_line() {
        let (outbox, seen) = Outbox::recorder();
        let bar = ProgressBar::new(outbox);
        bar.show(&task("fit", 800, false));
        bar.show(&task("fit", 810, false));
        bar.show(&task("evaluate", 0, false));
        bar.show(&task("evaluate", 10, true));
        bar.show(&task("fit", 900, true));
        let seen = seen.take();
        let [Output::Display { bundle, id: Some(id) }, Output::Update { bundle: last, id: same }, Output::Stdout(text)] =
            &seen[..]
        else {
            panic!("{seen:?}")
        };
        assert_eq!(id, same);
        assert!(
            bundle.forms()["text/html"].as_str().is_some_and(|h| h.contains("max=\"9\"") && h.contains("a &lt; b"))
        );
        assert_eq!(last, &Bundle::text(""));
        assert_eq!(text, "fit: stopped at 3/9 steps after 0:00, 3.3/s, a < b\n");
        bar.show(&task("fit", 900, false));
        assert!(matches!(&seen_id(&bar), Some(next) if *next != id.as_str()), "the next task has its own display");
    }

    fn seen_id(bar: &ProgressBar) -> Option<String> {
        bar.state().shown.map(|(id, _)| display_id(id))
    }
}
