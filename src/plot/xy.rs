//! Plots of points: lines, scatter plots, bar charts; as SVG and as text.

use std::fmt::Write as _;

use super::axis::ticks;
use super::bars::bars;
use super::braille::Canvas;
use super::number::short;
use super::svg::{Anchor, COLORS, Px, Svg};
use crate::error::{Error, Result};

/// Width and height of the picture, in pixels.
const SIZE: (f64, f64) = (760.0, 380.0);
/// Lines of the text.
const LINES: usize = 12;
/// The most bars of the text.
const BARS: usize = 40;
/// The most points drawn; of more, an evenly spaced choice.
const POINTS: usize = 20_000;

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// Joined in their order.
    Line,
    /// Each on its own.
    Dots,
}

/// A plot of points with a title and axis labels.
#[derive(Debug, Clone)]
pub struct Xy {
    /// Above the picture.
    pub title: String,
    /// Below the horizontal axis.
    pub x_label: String,
    /// Beside the vertical axis.
    pub y_label: String,
    /// How the points are drawn.
    pub marks: Marks,
    /// The points; those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// A bar chart with a bar for each name.
#[derive(Debug, Clone, Default)]
pub struct Bars {
    /// Above the picture.
    pub title: String,
    /// Names and lengths of the bars; negative lengths draw nothing.
    pub bars: Vec<(String, f64)>,
}

/// The range of the numbers, widened where it is a single value.
fn range(numbers: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = numbers.fold(None, |range, n| match range {
        None => Some((n, n)),
        Some((low, high)) => Some((f64::min(low, n), f64::max(high, n))),
    })?;
    if high > low {
        Some((low, high))
    } else {
        Some((low - low.abs().max(1.0) * 0.5, high + high.abs().max(1.0) * 0.5))
    }
}

/// The relative position of a number in a range, from 0 to 1; halved first, because the difference of two huge numbers
/// overflows.
fn share(n: f64, (low, high): (f64, f64)) -> f64 {
    ((n / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)).clamp(0.0, 1.0)
}

impl Xy {
    /// The finite points in order, or an evenly spaced choice of very many.
    fn shown(&self) -> Vec<(f64, f64)> {
        let finite: Vec<_> = self.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        let step = finite.len().div_ceil(POINTS).max(1);
        finite.into_iter().step_by(step).collect()
    }

    /// The picture as SVG, 760 × 380 pixels; the same input gives the same bytes.
    ///
    /// # Errors
    /// When there is nothing to draw.
    pub fn svg(&self) -> Result<String> {
        let points = self.shown();
        let (Some(across), Some(up)) = (range(points.iter().map(|p| p.0)), range(points.iter().map(|p| p.1))) else {
            return Err(Error::mistake("there is nothing to plot").with_hint("give it at least one finite number"));
        };
        let mut svg = Svg::new(SIZE.0, SIZE.1);
        let numbers = ticks(up.0, up.1, 6);
        let widest = numbers.iter().map(|t| short(*t).len()).max().unwrap_or(0) as f64;
        let named = |text: &str, room: f64| if text.is_empty() { 0.0 } else { room };
        let (left, right) = (16.0 + 6.6 * widest + named(&self.y_label, 18.0), SIZE.0 - 16.0);
        let (top, bottom) = (14.0 + named(&self.title, 22.0), SIZE.1 - 26.0 - named(&self.x_label, 18.0));
        let at = |(x, y): (f64, f64)| {
            let inside = (right - left - 8.0, bottom - top - 8.0);
            (left + 4.0 + share(x, across) * inside.0, bottom - 4.0 - share(y, up) * inside.1)
        };
        let mut rules = String::new();
        for number in numbers {
            let y = at((across.0, number)).1;
            let _ = write!(rules, "M{} {}h{}", Px(left), Px(y), Px(right - left));
            svg.styled((left - 7.0, y + 3.8), Anchor::End, 11.0, "", &short(number));
        }
        svg.rules(&rules, 0.18);
        let mut axis = format!("M{} {}h{}", Px(left), Px(bottom), Px(right - left));
        for number in ticks(across.0, across.1, 8) {
            let x = at((number, up.0)).0;
            let _ = write!(axis, "M{} {}v4", Px(x), Px(bottom));
            svg.styled((x, bottom + 17.0), Anchor::Middle, 11.0, "", &short(number));
        }
        svg.rules(&axis, 0.6);
        let middle = (left + right) / 2.0;
        if !self.title.is_empty() {
            svg.styled((middle, 20.0), Anchor::Middle, 15.0, " font-weight=\"600\"", &self.title);
        }
        svg.styled((middle, SIZE.1 - 8.0), Anchor::Middle, 12.0, "", &self.x_label);
        let centre = (top + bottom) / 2.0;
        let turned = format!(" transform=\"rotate(-90 14 {})\"", Px(centre));
        svg.styled((14.0, centre), Anchor::Middle, 12.0, &turned, &self.y_label);
        let alone = self.marks == Marks::Dots || points.len() == 1;
        let mut data = String::new();
        for (i, point) in points.iter().enumerate() {
            let (x, y) = at(*point);
            let letter = if i == 0 || alone { 'M' } else { 'L' };
            // A stroke of length zero with round caps is a dot.
            let _ = write!(data, "{letter}{} {}{}", Px(x), Px(y), if alone { "h0" } else { "" });
        }
        let wide = if alone { 5 } else { 2 };
        svg.path(
            &data,
            &format!(
                " stroke=\"{}\" stroke-width=\"{wide}\" stroke-linejoin=\"round\" stroke-linecap=\"round\"",
                COLORS[0]
            ),
        );
        Ok(svg.finish())
    }

    /// The picture as text of at most `width` columns (20 at least).
    pub fn text(&self, width: usize) -> String {
        let points = self.shown();
        let (Some(across), Some(up)) = (range(points.iter().map(|p| p.0)), range(points.iter().map(|p| p.1))) else {
            return "(nothing to plot)".into();
        };
        let (low, high) = (short(up.0), short(up.1));
        let gutter = low.chars().count().max(high.chars().count());
        let mut canvas = Canvas::new(width.max(20).saturating_sub(gutter + 1).max(8), LINES);
        let dot = |(x, y): (f64, f64), canvas: &Canvas| {
            let across = share(x, across) * (canvas.wide() - 1) as f64;
            (across.round() as usize, ((1.0 - share(y, up)) * (canvas.high() - 1) as f64).round() as usize)
        };
        let mut before = None;
        for point in points {
            let to = dot(point, &canvas);
            canvas.stroke(before.unwrap_or(to), to);
            before = (self.marks == Marks::Line).then_some(to);
        }
        let mut text: Vec<String> =
            [&self.title, &self.y_label].into_iter().filter(|t| !t.is_empty()).cloned().collect();
        for (line, dots) in canvas.lines().enumerate() {
            let name = if line == 0 {
                high.as_str()
            } else if line + 1 == LINES {
                low.as_str()
            } else {
                ""
            };
            text.push(format!("{name:>gutter$}{}{dots}", if name.is_empty() { '│' } else { '┤' }));
        }
        let columns = canvas.wide() / 2;
        text.push(format!("{:gutter$}└{}", "", "─".repeat(columns)));
        let (first, last) = (short(across.0), short(across.1));
        let room = columns.saturating_sub(first.chars().count() + last.chars().count());
        text.push(format!("{:gutter$} {first}{:^room$.room$}{last}", "", self.x_label));
        text.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
    }
}

impl Bars {
    /// The picture as SVG.
    ///
    /// # Errors
    /// When there is nothing to draw.
    pub fn svg(&self) -> Result<String> {
        if self.bars.is_empty() {
            return Err(Error::mistake("there is nothing to plot").with_hint("give it at least one number"));
        }
        Ok(bars(&self.title, &self.bars))
    }

    /// A bar a line, at most `width` columns (20 at least).
    pub fn text(&self, width: usize) -> String {
        let most = self.bars.iter().map(|(_, n)| *n).filter(|n| n.is_finite()).fold(0.0, f64::max);
        let shown = &self.bars[..self.bars.len().min(BARS)];
        let names = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(width / 3);
        let room = width.max(20).saturating_sub(names + 12).max(4);
        let mut lines: Vec<String> = (!self.title.is_empty()).then(|| self.title.clone()).into_iter().collect();
        for (name, n) in shown {
            let eighths =
                if most > 0.0 && n.is_finite() { (n.max(0.0) / most * 8.0 * room as f64).round() as usize } else { 0 };
            let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
            let name: String = name.chars().take(names).collect();
            lines.push(format!("{name:>names$} {}{part} {}", "█".repeat(eighths / 8), short(*n)));
        }
        if self.bars.len() > BARS {
            lines.push(format!("… {} more", self.bars.len() - BARS));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(marks: Marks) -> Xy {
        let points = [(0.0, 0.0), (5.0, 25.0), (f64::NAN, 1.0), (10.0, 100.0)].to_vec();
        Xy { title: "a < b".into(), x_label: "x".into(), y_label: String::new(), marks, points }
    }

    #[test]
    fn points_stand_over_their_numbers() {
        let line = square(Marks::Line).svg().expect("drawn");
        assert!(
            line.contains("a &lt; b") && line.contains(">100<") && line.contains(">10<") && !line.contains("NaN"),
            "{line}"
        );
        let dots = square(Marks::Dots).svg().expect("drawn");
        assert_eq!(dots.matches("h0").count(), 3);
        assert!(Xy { points: vec![(f64::NAN, 1.0)], ..square(Marks::Dots) }.svg().is_err());
        let one = Xy { points: vec![(3.0, 3.0)], ..square(Marks::Line) };
        assert!(
            one.svg().is_ok_and(|svg| svg.contains("h0")) && one.text(40).contains('⠂'.to_string().as_str())
                || !one.text(40).is_empty()
        );
    }

    #[test]
    fn the_text_keeps_to_its_width() {
        for width in [10, 20, 57, 100] {
            for text in [square(Marks::Line).text(width), square(Marks::Dots).text(width)] {
                assert!(text.lines().all(|line| line.chars().count() <= width.max(20)), "{text}");
                assert!(text.contains("100┤") && text.contains("  0┤"), "{text}");
            }
        }
        let bars =
            Bars { title: "t".into(), bars: vec![("a".into(), 4.0), ("long".into(), 1.0), ("n".into(), f64::NAN)] };
        assert_eq!(bars.text(28), "t\n   a ████████████ 4\nlong ███ 1\n   n  nan");
        assert!(Bars::default().svg().is_err());
    }
}
