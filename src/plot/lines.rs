//! A figure as SVG: curves over an index, round numbers on both axes, a legend where there are names.

use std::fmt::Write as _;

use super::Figure;
use super::axis::ticks;
use super::number::short;
use super::svg::{Anchor, COLORS, Px, Svg};

/// Pixels kept free on the right and at the top.
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;

/// Where the curves are drawn, and what numbers its sides stand for.
struct Frame {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    low: f64,
    high: f64,
    last: f64,
}

impl Frame {
    fn x(&self, index: f64) -> f64 {
        self.left + index / self.last * (self.right - self.left)
    }

    fn y(&self, value: f64) -> f64 {
        // Halved first, because the difference of two huge numbers is infinite.
        let share = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        self.bottom - share * (self.bottom - self.top)
    }
}

/// Draws the figure into the upper left corner of a picture; `low..high` are the values on the vertical axis, `last` is
/// the last index, `size` is in pixels.
pub(super) fn draw(svg: &mut Svg, figure: &Figure, (low, high): (f64, f64), last: usize, size: (f64, f64)) {
    let numbers = ticks(low, high, (size.1 / 62.0) as usize);
    let widest = numbers.iter().map(|t| short(*t).len()).max().unwrap_or(0) as f64;
    let named = figure.series.iter().any(|(name, _)| !name.is_empty());
    let title = if figure.title.is_empty() { 0.0 } else { 22.0 };
    let label = |text: &str, room: f64| if text.is_empty() { 0.0 } else { room };
    let frame = Frame {
        left: 16.0 + 6.6 * widest + label(&figure.y_label, 18.0),
        top: TOP + title + if named { 20.0 } else { 0.0 },
        right: size.0 - RIGHT,
        bottom: size.1 - 26.0 - label(&figure.x_label, 18.0),
        low,
        high,
        last: last.max(1) as f64,
    };
    axes(svg, &frame, &numbers);
    names(svg, figure, &frame, (title, size));
    for (index, (_, values)) in figure.series.iter().enumerate() {
        curve(svg, &frame, values, COLORS[index % COLORS.len()]);
    }
}

fn axes(svg: &mut Svg, frame: &Frame, numbers: &[f64]) {
    let wide = Px(frame.right - frame.left);
    let mut rules = String::new();
    for &number in numbers {
        let y = frame.y(number);
        let _ = write!(rules, "M{} {}h{wide}", Px(frame.left), Px(y));
        svg.text(frame.left - 7.0, y + 3.8, Anchor::End, 11.0, &short(number));
    }
    svg.rules(&rules, 0.18);
    let mut marks = String::new();
    // Steps are whole numbers.
    for index in
        ticks(0.0, frame.last, ((frame.right - frame.left) / 84.0) as usize).into_iter().filter(|t| t.fract() == 0.0)
    {
        let x = frame.x(index);
        let _ = write!(marks, "M{} {}v4", Px(x), Px(frame.bottom));
        svg.text(x, frame.bottom + 17.0, Anchor::Middle, 11.0, &short(index));
    }
    let _ = write!(marks, "M{} {}h{wide}", Px(frame.left), Px(frame.bottom));
    svg.rules(&marks, 0.6);
}

/// Title, axis names, and the names of the curves above them.
fn names(svg: &mut Svg, figure: &Figure, frame: &Frame, (title, size): (f64, (f64, f64))) {
    let middle = (frame.left + frame.right) / 2.0;
    if !figure.title.is_empty() {
        svg.styled((middle, 20.0), Anchor::Middle, 15.0, " font-weight=\"600\"", &figure.title);
    }
    svg.text(middle, size.1 - 8.0, Anchor::Middle, 12.0, &figure.x_label);
    let centre = (frame.top + frame.bottom) / 2.0;
    let turned = format!(" transform=\"rotate(-90 14 {})\"", Px(centre));
    svg.styled((14.0, centre), Anchor::Middle, 12.0, &turned, &figure.y_label);
    let mut x = frame.left;
    for (index, (name, _)) in figure.series.iter().enumerate().filter(|(_, (name, _))| !name.is_empty()) {
        let wide = 7.0 * name.chars().count() as f64 + 36.0;
        if x + wide > size.0 {
            break;
        }
        let y = TOP + title + 4.0;
        let style = format!(" stroke=\"{}\" stroke-width=\"3\" stroke-linecap=\"round\"", COLORS[index % COLORS.len()]);
        svg.path(&format!("M{} {}h14", Px(x + 2.0), Px(y)), &style);
        svg.text(x + 22.0, y + 4.0, Anchor::Start, 12.0, name);
        x += wide;
    }
}

fn curve(svg: &mut Svg, frame: &Frame, values: &[f64], color: &str) {
    let mut data = String::new();
    for run in runs(values, 2 * (frame.right - frame.left) as usize) {
        for (i, (index, value)) in run.iter().enumerate() {
            let _ = write!(data, "{}{} {}", if i == 0 { 'M' } else { 'L' }, Px(frame.x(*index)), Px(frame.y(*value)));
        }
        // A stroke of no length with round ends is a dot.
        if run.len() == 1 {
            data.push_str("h0");
        }
    }
    let dots = values.iter().filter(|v| v.is_finite()).count() == 1;
    let wide = if dots { 6 } else { 2 };
    svg.path(
        &data,
        &format!(" stroke=\"{color}\" stroke-width=\"{wide}\" stroke-linejoin=\"round\" stroke-linecap=\"round\""),
    );
}

/// The unbroken runs of finite values with their index; of more than `most` values, the least and the greatest of each
/// group, so that no spike is lost.
fn runs(values: &[f64], most: usize) -> Vec<Vec<(f64, f64)>> {
    let group = values.len().div_ceil(most.max(2) / 2).max(1);
    let mut runs = vec![Vec::new()];
    let push = |runs: &mut Vec<Vec<(f64, f64)>>, (i, v): (usize, f64)| {
        let Some(run) = runs.last_mut() else { return };
        if v.is_finite() {
            run.push((i as f64, v));
        } else if !run.is_empty() {
            runs.push(Vec::new());
        }
    };
    for (g, part) in values.chunks(group).enumerate() {
        let at = |i: usize| (g * group + i, part[i]);
        if values.len() <= most || part.iter().any(|v| !v.is_finite()) {
            (0..part.len()).for_each(|i| push(&mut runs, at(i)));
            continue;
        }
        let order = |a: &usize, b: &usize| part[*a].total_cmp(&part[*b]);
        let (least, greatest) = ((0..part.len()).min_by(order), (0..part.len()).max_by(order));
        let (Some(least), Some(greatest)) = (least, greatest) else { continue };
        push(&mut runs, at(least.min(greatest)));
        if least != greatest {
            push(&mut runs, at(least.max(greatest)));
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_break_a_line() {
        assert_eq!(
            runs(&[1.0, 2.0, f64::NAN, f64::NAN, 3.0, f64::INFINITY], 100),
            [vec![(0.0, 1.0), (1.0, 2.0)], vec![(4.0, 3.0)]]
        );
        assert!(runs(&[f64::NAN], 100).is_empty());
    }

    #[test]
    fn a_spike_among_a_million_is_kept() {
        let mut values = vec![1.0; 1_000_000];
        values[123_456] = 9.0;
        let runs = runs(&values, 1600);
        assert_eq!(runs.len(), 1);
        assert!(runs[0].len() <= 1600, "{}", runs[0].len());
        assert!(runs[0].contains(&(123_456.0, 9.0)));
        assert!(runs[0].is_sorted_by(|a, b| a.0 < b.0));
    }
}
