//! `History`: the steps of a training run.

use std::rc::Rc;

use rhai::{Array, Dynamic, Map};

use crate::interrupt::Interrupt;
use crate::plot;
use crate::progress::four_digits;
use crate::script::Bundle;
use crate::script::convert::place;
use crate::script::failure::Fallible;
use crate::script::one_line::thousands;
use crate::script::registry::{Object, Registry};
use crate::train::Step;

/// The steps of a run, up to the time of the call.
#[derive(Debug, Clone)]
pub(crate) struct History(Rc<Vec<Step>>);

impl History {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        Self(Rc::new(steps))
    }

    /// The mean losses of the first and of the last tenth of the steps: single steps vary too much.
    fn means(&self) -> String {
        let losses = self.losses();
        let part = losses.len().div_ceil(10);
        let mean = |losses: &[f64]| four_digits(losses.iter().sum::<f64>() / losses.len().max(1) as f64);
        match losses.len() {
            0 | 1 => mean(&losses),
            2..=10 => format!("{} -> {}", mean(&losses[..1]), mean(&losses[losses.len() - 1..])),
            all => {
                let (first, last) = (mean(&losses[..part]), mean(&losses[all - part..]));
                format!("{first} -> {last} (means of the first and last {part} steps)")
            }
        }
    }

    pub(crate) fn losses(&self) -> Vec<f64> {
        self.0.iter().map(|s| s.loss).collect()
    }

    /// The training loss and, where measured, the held-out loss, over the steps.
    pub(crate) fn curves(&self) -> plot::Figure {
        let mut series = plot::Series::smoothed("loss", plot::by_step(&self.losses()), plot::smoothing(self.0.len()));
        // The held-out loss is interpolated between measurements.
        let measured: Vec<(usize, f64)> =
            self.0.iter().enumerate().filter_map(|(i, s)| Some((i, s.val_loss?))).collect();
        if measured.len() > 1 {
            series.push(plot::Series::line("held out", plot::by_step(&between(&measured, self.0.len()))));
        }
        plot::Figure { title: "training".into(), x_label: "step".into(), y_label: "loss".into(), series, x_range: None }
    }
}

/// Linear interpolation of the values at some positions, with gaps outside.
fn between(points: &[(usize, f64)], len: usize) -> Vec<f64> {
    let mut values = vec![f64::NAN; len];
    for pair in points.windows(2) {
        let ((from, a), (to, b)) = (pair[0], pair[1]);
        for (i, value) in values.iter_mut().enumerate().take(to + 1).skip(from) {
            *value = a + (b - a) * (i - from) as f64 / (to - from).max(1) as f64;
        }
    }
    values
}

impl Object for History {
    const NAME: &'static str = "History";
    const DOC: &'static str = "What the steps of a run did: history.losses, history[0].lr; plot(history) draws it.";

    fn line(&self) -> String {
        let steps = match self.0.len() {
            0 => return "History: no steps yet".into(),
            1 => "1 step".to_string(),
            steps => format!("{} steps", thousands(steps)),
        };
        let held: Vec<f64> = self.0.iter().filter_map(|s| s.val_loss).collect();
        let held = match (held.first(), held.last()) {
            (Some(first), Some(last)) if held.len() > 1 => {
                format!(", held out {} -> {}", four_digits(*first), four_digits(*last))
            }
            (Some(only), _) => format!(", held out {}", four_digits(*only)),
            _ => String::new(),
        };
        format!("History: {steps}, loss {}{held}", self.means())
    }

    fn text(&self, width: usize) -> String {
        let Some(last) = self.0.last() else { return self.line() };
        let losses = self.losses();
        let mut text = format!("{}\n  loss      {}", self.line(), plot::sparkline(&losses, width.saturating_sub(14)));
        let held: Vec<f64> = self.0.iter().filter_map(|s| s.val_loss).collect();
        if let (Some(first), Some(end)) = (held.first(), held.last()) {
            let curve = plot::sparkline(&held, width.saturating_sub(40));
            text += &format!("\n  held out  {curve} {} -> {}", four_digits(*first), four_digits(*end));
        }
        text += &format!(
            "\n  lr {:.2e}, gradient norm {:.2}, {} tokens/s",
            last.lr,
            last.grad_norm,
            thousands(last.tokens_per_second.round() as usize)
        );
        text
    }

    fn bundle(&self, width: usize, _interrupt: &Interrupt) -> Bundle {
        let picture = if self.0.len() > 1 { self.curves().svg().ok() } else { None };
        Bundle::text(self.text(width)).with("image/svg+xml", picture)
    }
}

pub(super) fn register(registry: &mut Registry) {
    let mut history = registry.object::<History>();
    history.get("len -> int", "How many steps it holds.", |h: &mut History| h.0.len() as i64);
    history.get("losses -> array", "The training loss of each step.", |h: &mut History| column(h, |s| Some(s.loss)));
    history.get("val_losses -> array", "The held-out losses that were measured.", |h: &mut History| {
        column(h, |s| s.val_loss)
    });
    history.get("lrs -> array", "The learning rate of each step.", |h: &mut History| column(h, |s| Some(s.lr)));
    history.index(
        "[](index: int) -> map",
        "One step: step, loss, lr, grad_norm, tokens_per_second, val_loss.",
        |h: &mut History, index: i64| -> Fallible<Map> { Ok(step_map(&h.0[place("step", index, h.0.len())?])) },
    );
}

fn column(history: &History, f: fn(&Step) -> Option<f64>) -> Array {
    history.0.iter().filter_map(f).map(Dynamic::from).collect()
}

/// A step as a script map.
pub(super) fn step_map(step: &Step) -> Map {
    let entries: [(&str, Dynamic); 6] = [
        ("step", (step.step as i64).into()),
        ("loss", step.loss.into()),
        ("lr", step.lr.into()),
        ("grad_norm", step.grad_norm.into()),
        ("tokens_per_second", step.tokens_per_second.into()),
        ("val_loss", step.val_loss.map_or(Dynamic::UNIT, Dynamic::from)),
    ];
    entries.into_iter().map(|(key, value)| (key.into(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(losses: impl IntoIterator<Item = f64>) -> History {
        let step = |(i, loss): (usize, f64)| Step { step: i as u64 + 1, loss, ..Step::default() };
        History(Rc::new(losses.into_iter().enumerate().map(step).collect()))
    }

    #[test]
    fn a_history_compares_means_and_the_held_out_loss() {
        assert_eq!(history([]).line(), "History: no steps yet");
        assert_eq!(history([3.0]).line(), "History: 1 step, loss 3.000");
        assert_eq!(history([3.0, 2.0]).line(), "History: 2 steps, loss 3.000 -> 2.000");
        let mut long = history((0..2000).map(|i| if i < 200 { 4.0 + f64::from(i % 2) } else { 2.0 }));
        let words = "History: 2,000 steps, loss 4.500 -> 2.000 (means of the first and last 200 steps)";
        assert_eq!(long.line(), words);
        let steps = Rc::get_mut(&mut long.0).expect("its own");
        steps[999].val_loss = Some(3.25);
        steps[1999].val_loss = Some(2.951_23);
        assert_eq!(long.line(), format!("{words}, held out 3.250 -> 2.951"));
    }

    #[test]
    fn measurements_are_joined_by_lines() {
        let values = between(&[(1, 1.0), (3, 3.0)], 5);
        assert!(values[0].is_nan() && values[4].is_nan());
        assert_eq!(values[1..4], [1.0, 2.0, 3.0]);
    }
}
