//! The panel of a training run: progress, losses, learning rate, speed and time left, as SVG for notebooks and as text
//! for terminals.

use std::time::Duration;

use plotters::element::Rectangle;
use plotters::style::Color;
use plotters_backend::text_anchor::{HPos, VPos};

use super::backend::{Area, Backend, Drawn, color, ink, text, units};
use super::braille::Canvas;
use super::number::short;
use super::series::{Series, SeriesStyle};
use super::svg::{COLORS, Svg};
use super::{Figure, lines, sparkline};
use crate::progress::thousands;

/// Width and height of the picture, of the words at its top, and the width of the chart of losses.
const SIZE: (f64, f64) = (760.0, 290.0);
const WORDS: f64 = 60.0;
const LOSS: f64 = 490.0;
/// Sizes of text: the state, and the rest.
const LARGE: f64 = 14.0;
const SMALL: f64 = 12.5;
/// Lines of the curve in the text.
const LINES: usize = 6;
/// Columns of the text at most.
const WIDEST: usize = 100;

/// The state of a training run, for display.
#[derive(Debug, Clone, Default)]
pub struct Panel {
    /// What the run is doing: "training", "done", "stopped".
    pub state: String,
    /// Steps done, and steps of the run.
    pub steps: (u64, u64),
    /// The training loss of each step.
    pub losses: Vec<f64>,
    /// The held-out losses, each with its step.
    pub held_out: Vec<(usize, f64)>,
    /// The learning rate of each step.
    pub rates: Vec<f64>,
    /// Tokens a second, lately.
    pub speed: f64,
    /// Time since it began or went on.
    pub elapsed: Duration,
    /// Time left, when it can be told.
    pub left: Option<Duration>,
    /// The load of the machine in words: "cpu 93 %".
    pub load: Vec<String>,
}

impl Panel {
    /// The figures as phrases: "loss 2.31", "3,412 tokens/s", …
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend(self.losses.last().map(|loss| format!("loss {loss:.3}")));
        words.extend(self.held_out.last().map(|(_, loss)| format!("held out {loss:.3}")));
        words.extend(self.rates.last().map(|rate| format!("lr {}", short(*rate))));
        if self.speed > 0.0 {
            words.push(format!("{} tokens/s", thousands(self.speed.round() as u64)));
        }
        words.push(match self.left {
            Some(left) => format!("{} left", clock(left)),
            None => clock(self.elapsed),
        });
        words
    }

    fn share(&self) -> f64 {
        if self.steps.1 == 0 { 1.0 } else { (self.steps.0 as f64 / self.steps.1 as f64).clamp(0.0, 1.0) }
    }

    fn count(&self) -> String {
        let (done, all) = self.steps;
        format!("{} of {} step{}", thousands(done), thousands(all), if all == 1 { "" } else { "s" })
    }

    /// The state of the run in one line: "trained: 12 of 12 steps, loss 2.310, …".
    pub fn text_line(&self) -> String {
        format!("{}: {}, {}", self.state, self.count(), self.words().join(", "))
    }

    /// The panel as SVG, 760 pixels wide.
    pub fn svg(&self) -> String {
        let drawn = self.losses.iter().any(|l| l.is_finite());
        let size = (SIZE.0, if drawn { SIZE.1 } else { WORDS });
        let mut svg = Svg::new(size.0, size.1);
        // The backend never fails.
        let _ = self.draw(&Backend::area(&mut svg, size), drawn);
        svg.finish()
    }

    fn draw(&self, area: &Area<'_>, drawn: bool) -> Drawn {
        let (left, right) = (units(8.0), units(SIZE.0 - 8.0));
        let words = |x: i32, y: f64, at: HPos, bold: bool, words: &str| {
            let style = text(if bold { LARGE } else { SMALL }, bold, (at, VPos::Center));
            area.draw_text(words, &style, (x, units(y)))
        };
        words(left, 14.0, HPos::Left, true, &self.state)?;
        words(right, 14.0, HPos::Right, false, &self.count())?;
        let bar = |to: f64, style| area.draw(&Rectangle::new([(left, units(25.0)), (units(to), units(31.0))], style));
        bar(SIZE.0 - 8.0, ink(0.2).filled())?;
        bar(8.0 + ((SIZE.0 - 16.0) * self.share()).max(1.0), color(COLORS[2], 1.0).filled())?;
        words(left, 45.0, HPos::Left, false, &self.words().join("  ·  "))?;
        words(right, 45.0, HPos::Right, false, &self.load.join("  ·  "))?;
        if !drawn {
            return Ok(());
        }
        let (_, charts) = area.split_vertically(units(WORDS));
        let (losses, rates) = charts.split_horizontally(units(LOSS));
        lines::draw(&losses, &self.losses())?;
        lines::draw(&rates, &self.over_steps(vec![Series::line("learning rate", by_step(&self.rates))]))
    }

    /// The chart of losses: the smoothed line over the raw one, and the held-out losses.
    fn losses(&self) -> Figure {
        let span = smoothing(self.steps.1.max(self.losses.len() as u64) as usize);
        let mut series = Series::smoothed("loss", by_step(&self.losses), span);
        if !self.held_out.is_empty() {
            series.push(Series::line("held out", by_step(&between(&self.held_out, self.losses.len()))));
        }
        self.over_steps(series)
    }

    /// A chart whose horizontal axis ends at the last step of the run, or while the run is young at the next half,
    /// quarter, … of it, so that the axis changes rarely.
    fn over_steps(&self, series: Vec<Series>) -> Figure {
        let done = self.losses.len().max(1) as f64;
        let mut end = self.steps.1.max(self.losses.len() as u64) as f64;
        while end / 2.0 >= done && end / 2.0 >= 8.0 {
            end /= 2.0;
        }
        Figure { x_label: "step".into(), series, x_range: Some((0.0, end.ceil())), ..Figure::default() }
    }

    /// The panel as text, each line less than `width` columns wide.
    pub fn text(&self, width: usize) -> String {
        let width = width.clamp(24, WIDEST) - 1;
        let count = self.count();
        let room = width.saturating_sub(self.state.chars().count() + count.len() + 4).min(40);
        let full = (room as f64 * self.share()).floor() as usize;
        let bar = format!("{}{}", "━".repeat(full), "╌".repeat(room - full));
        let mut lines = vec![format!("{}  {bar}  {count}", self.state)];
        let mut line = String::new();
        for word in self.words() {
            if !line.is_empty() && line.chars().count() + word.chars().count() + 2 > width {
                lines.push(std::mem::take(&mut line));
            }
            line += format!("{}{word}", if line.is_empty() { "" } else { "  " }).as_str();
        }
        lines.push(line);
        lines.extend(Some(self.load.join("  ")).filter(|load| !load.is_empty()));
        lines.extend(self.curve(width));
        if self.rates.len() > 1 {
            lines.push(format!("{:>7} {}", "lr", sparkline(&self.rates, width.saturating_sub(8))));
        }
        lines.into_iter().map(|l| l.chars().take(width).collect::<String>()).collect::<Vec<_>>().join("\n")
    }

    /// The losses as a curve of dots.
    fn curve(&self, width: usize) -> Vec<String> {
        let values =
            || self.losses.iter().chain(self.held_out.iter().map(|(_, l)| l)).copied().filter(|l| l.is_finite());
        let (Some(low), Some(high)) = (values().reduce(f64::min), values().reduce(f64::max)) else { return Vec::new() };
        if self.losses.len() < 2 {
            return Vec::new();
        }
        let mut canvas = Canvas::new(width.saturating_sub(8).max(8), LINES);
        let figure = self.losses();
        // Where dots would merge, only the mean is drawn.
        let crowded = self.losses.len() > canvas.wide();
        for series in figure.series.iter().filter(|series| !crowded || series.style != SeriesStyle::Faint) {
            let points: Vec<(f64, f64)> = series.points().map(|(x, y)| (x, y.unwrap_or(f64::NAN))).collect();
            canvas.points(&points, figure.span(), (low, high), true);
        }
        let name = |i: usize| match i {
            0 => format!("{:>7}┤", short(high)),
            i if i + 1 == LINES => format!("{:>7}┤", short(low)),
            i if i == LINES / 2 => format!("{:>7}│", "loss"),
            _ => format!("{:>7}│", ""),
        };
        canvas.lines().enumerate().map(|(i, dots)| (name(i) + dots.as_str()).trim_end().to_string()).collect()
    }
}

/// The span over which the losses of a run are smoothed: a fortieth of its steps.
pub fn smoothing(steps: usize) -> usize {
    (steps / 40).clamp(if steps < 40 { 1 } else { 5 }, 200)
}

/// Values from the first step on, preceded by a gap at index 0, so that the value of step `n` is at index `n`.
pub fn by_step(values: &[f64]) -> Vec<f64> {
    std::iter::once(f64::NAN).chain(values.iter().copied()).collect()
}

/// Linear interpolation of the values after some steps, with gaps before the first and after the last. The value after
/// step `n` is at index `n − 1`.
fn between(points: &[(usize, f64)], len: usize) -> Vec<f64> {
    let mut values = vec![f64::NAN; len];
    let mut set = |step: usize, value: f64| {
        if let Some(place) = values.get_mut(step.saturating_sub(1)) {
            *place = value;
        }
    };
    points.iter().for_each(|&(step, value)| set(step, value));
    for pair in points.windows(2) {
        let ((from, a), (to, b)) = (pair[0], pair[1]);
        (from..to).for_each(|i| set(i, a + (b - a) * (i - from) as f64 / (to - from) as f64));
    }
    values
}

/// Minutes and seconds, with hours when there are any.
fn clock(d: Duration) -> String {
    let (hours, minutes, seconds) = (d.as_secs() / 3600, d.as_secs() / 60 % 60, d.as_secs() % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Panel {
        Panel {
            state: "training".into(),
            steps: (40, 100),
            losses: (0..40).map(|i| 4.0 / f64::from(i + 1)).collect(),
            held_out: vec![(10, 1.0), (40, 0.5)],
            rates: (0..40).map(|i| 1e-4 * f64::from(i)).collect(),
            speed: 3412.0,
            elapsed: Duration::from_secs(80),
            left: Some(Duration::from_secs(120)),
            load: vec!["cpu 93 %".into(), "memory 512 MiB".into()],
        }
    }

    #[test]
    fn the_text_says_all_and_keeps_to_its_width() {
        let text = run().text(80);
        for part in [
            "training  ━",
            "40 of 100 steps",
            "loss 0.100",
            "held out 0.500",
            "lr 0.0039",
            "3,412 tokens/s",
            "2:00 left",
            "cpu 93 %  memory 512 MiB",
        ] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        for width in 0..130 {
            let text = run().text(width);
            assert!(text.lines().all(|l| l.chars().count() < width.max(24)), "{width}\n{text}");
        }
        assert_eq!(Panel::default().text(80).lines().count(), 2);
    }

    #[test]
    fn the_picture_is_the_same_for_the_same_run() {
        assert_eq!(run().svg(), run().svg());
        assert!(run().svg().contains(">held out<") && run().svg().contains(">learning rate<"));
        assert!(run().svg().contains("cpu 93 %"));
        assert!(!Panel::default().svg().contains("NaN"));
        let mut long = run();
        long.losses = (0..200_000).map(|i| f64::from(i % 977)).collect();
        assert!(long.svg().len() < 100_000, "{} bytes", long.svg().len());
    }

    #[test]
    fn axes_stay_while_the_run_goes_on() {
        let ends: Vec<f64> = (1..=100)
            .map(|done| {
                let run = Panel { steps: (done, 100), losses: vec![1.0; done as usize], ..Panel::default() };
                run.losses().x_range.expect("a range").1
            })
            .collect();
        assert!(ends.is_sorted() && ends.iter().zip(1..).all(|(end, done)| *end >= f64::from(done)), "{ends:?}");
        let mut different = ends.clone();
        different.dedup();
        assert_eq!(different, [13.0, 25.0, 50.0, 100.0]);
    }

    #[test]
    fn losses_are_smoothed_once_there_are_enough() {
        assert_eq!((smoothing(10), smoothing(100), smoothing(2000), smoothing(100_000)), (1, 5, 50, 200));
        let mut run = run();
        run.losses = (0..40).map(|i| f64::from(i % 7)).collect();
        assert_eq!(run.losses().series.len(), 3, "the line, its mean, and what was held out");
    }

    #[test]
    fn the_value_of_a_step_stands_at_its_number() {
        let values = by_step(&[3.0, 2.0]);
        assert!(values[0].is_nan() && values[1..] == [3.0, 2.0]);
    }

    #[test]
    fn measurements_are_joined_by_lines() {
        let values = between(&[(2, 1.0), (4, 3.0)], 5);
        assert!(values[0].is_nan() && values[4].is_nan());
        assert_eq!(values[1..4], [1.0, 2.0, 3.0]);
    }
}
