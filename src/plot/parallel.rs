//! Parallel coordinates (Inselberg 1985): a vertical axis for each quantity, a line across them for each item. Drawn by
//! plotters.

use plotters::chart::ChartBuilder;
use plotters::element::PathElement;
use plotters::style::{Color, ShapeStyle};
use plotters_backend::text_anchor::{HPos, VPos};

use super::axis::{Axis, ticks};
use super::backend::{Area, Backend, Drawn, color, failed, ink, text, units};
use super::braille::Canvas;
use super::number::short;
use super::svg::{COLORS, Svg, text_width};
use crate::error::{Error, Result};

const HIGH: f64 = 340.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 22.0;
/// Pixels between two axes.
const APART: f64 = 132.0;
const SIDE: f64 = 64.0;
/// Sizes of text: the title, names of axes, numbers.
const LARGE: f64 = 14.0;
const NAME: f64 = 12.5;
const SMALL: f64 = 11.0;
/// Positive numbers whose largest is this many times the smallest have a logarithmic axis.
const LOGARITHMIC: f64 = 50.0;

/// A value on an axis.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
    /// Nothing: the line has a gap.
    Missing,
}

/// One axis with the values of all lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The name of the quantity.
    pub name: String,
    /// The value of each line.
    pub marks: Vec<Mark>,
}

/// A chart of parallel coordinates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parallel {
    /// Above the picture.
    pub title: String,
    /// From left to right; all have as many marks.
    pub columns: Vec<Column>,
    /// The line to emphasise.
    pub best: Option<usize>,
    /// Whether lines with low values on the last axis are drawn stronger, instead of those with high values.
    pub low_is_good: bool,
}

/// An axis with the positions of its values, from 0 at the bottom to 1.
struct AxisScale {
    places: Vec<f64>,
    labels: Vec<(f64, String)>,
}

impl Parallel {
    /// The picture as SVG; the same input gives the same bytes.
    ///
    /// # Errors
    /// When there is nothing to draw.
    pub fn svg(&self) -> Result<String> {
        if self.columns.len() < 2 || self.lines() == 0 {
            return Err(Error::mistake("there is nothing to draw: parallel coordinates want two axes and a line"));
        }
        let size = (2.0 * SIDE + APART * (self.columns.len() - 1) as f64, HIGH);
        let mut svg = Svg::new(size.0, size.1);
        self.draw(&Backend::area(&mut svg, size)).map_err(failed)?;
        Ok(svg.finish())
    }

    fn draw(&self, area: &Area<'_>) -> Drawn {
        let scales: Vec<AxisScale> = self.columns.iter().map(AxisScale::of).collect();
        let last = (self.columns.len() - 1) as f64;
        let mut builder = ChartBuilder::on(area);
        builder.margin_left(units(SIDE)).margin_right(units(SIDE)).margin_top(units(TOP)).margin_bottom(units(BOTTOM));
        let mut chart = builder.build_cartesian_2d(Axis::bare(0.0, last), Axis::bare(0.0, 1.0))?;
        let strength = self.strengths(&scales);
        let mut order: Vec<usize> = (0..self.lines()).collect();
        order.sort_by(|&a, &b| strength[a].total_cmp(&strength[b])); // the strongest on top
        for line in order.into_iter().filter(|line| self.best != Some(*line)).chain(self.best) {
            let style = if self.best == Some(line) {
                color(COLORS[1], 1.0).stroke_width(30)
            } else {
                color(COLORS[0], 0.25 + 0.6 * strength.get(line).copied().unwrap_or(0.0)).stroke_width(15)
            };
            let places: Vec<f64> = scales.iter().map(|s| s.places.get(line).copied().unwrap_or(f64::NAN)).collect();
            for run in places.iter().enumerate().collect::<Vec<_>>().chunk_by(|a, b| a.1.is_finite() && b.1.is_finite())
            {
                let run: Vec<(f64, f64)> = run.iter().map(|(at, place)| (*at as f64, **place)).collect();
                chart.draw_series([PathElement::new(run, style)])?;
            }
        }
        let rule = ShapeStyle::from(ink(0.7)).stroke_width(10);
        for (at, (column, scale)) in self.columns.iter().zip(&scales).enumerate() {
            let at = at as f64;
            chart.draw_series([PathElement::new([(at, 0.0), (at, 1.0)], rule)])?;
            let name = text(NAME, true, (HPos::Center, VPos::Center));
            area.draw_text(
                &shortened(&column.name, APART - 8.0),
                &name,
                (units(SIDE + APART * at), units(TOP - 16.0)),
            )?;
            for (place, label) in &scale.labels {
                let (x, y) = chart.backend_coord(&(at, *place));
                area.draw(&PathElement::new([(x - units(4.0), y), (x, y)], rule))?;
                let number = text(SMALL, false, (HPos::Right, VPos::Center));
                area.draw_text(label, &number, (x - units(7.0), y))?;
            }
        }
        area.draw_text(&self.title, &text(LARGE, true, (HPos::Left, VPos::Center)), (units(SIDE), units(11.0)))
    }

    /// The picture as text of at most `width` columns: the lines as dots, the axes by name and ends below.
    pub fn text(&self, width: usize) -> String {
        if self.columns.len() < 2 || self.lines() == 0 {
            return "(nothing to draw)".into();
        }
        let scales: Vec<AxisScale> = self.columns.iter().map(AxisScale::of).collect();
        let width = width.max(20);
        let lines = (width / 8).clamp(5, 10);
        let mut canvas = Canvas::new(width, lines);
        for line in 0..self.lines() {
            let places: Vec<f64> = scales.iter().map(|s| s.places.get(line).copied().unwrap_or(f64::NAN)).collect();
            canvas.curve(&places, 0.0, 1.0);
        }
        let mut text: Vec<String> = Vec::new();
        text.extend((!self.title.is_empty()).then(|| self.title.clone()));
        text.extend(canvas.lines().map(|line| line.trim_end().to_string()));
        let ends = |scale: &AxisScale| match (scale.labels.first(), scale.labels.last()) {
            (Some((_, low)), Some((_, high))) if low != high => format!("{low} … {high}"),
            (Some((_, only)), _) => only.clone(),
            _ => String::new(),
        };
        let word = |(column, scale): (&Column, &AxisScale)| format!("{} {}", column.name, ends(scale));
        let mut row = String::new();
        for word in self.columns.iter().zip(&scales).map(word) {
            let joined = if row.is_empty() { word.clone() } else { format!("{row} │ {word}") };
            row = if joined.chars().count() > width && !row.is_empty() {
                text.push(std::mem::take(&mut row));
                word
            } else {
                joined
            };
        }
        text.push(row);
        text.join("\n")
    }

    /// How many lines there are.
    fn lines(&self) -> usize {
        self.columns.iter().map(|column| column.marks.len()).max().unwrap_or(0)
    }

    /// How strongly each line is drawn, 0 to 1: by its rank on the last axis.
    fn strengths(&self, scales: &[AxisScale]) -> Vec<f64> {
        let Some(last) = scales.last() else { return Vec::new() };
        let rank = |place: f64| last.places.iter().filter(|other| **other < place).count() as f64;
        let most = last.places.len().saturating_sub(1).max(1) as f64;
        let strength = |place: &f64| match (place.is_finite(), self.low_is_good) {
            (false, _) => 0.0,
            (_, true) => 1.0 - rank(*place) / most,
            (_, false) => rank(*place) / most,
        };
        last.places.iter().map(strength).collect()
    }
}

/// A name cut to a width in pixels.
fn shortened(name: &str, room: f64) -> String {
    if text_width(name, NAME, true) <= room {
        return name.into();
    }
    let mut kept: String = name.into();
    while text_width(&kept, NAME, true) > room - NAME && kept.pop().is_some() {}
    kept + "…"
}

impl AxisScale {
    fn of(column: &Column) -> Self {
        let words = column.marks.iter().any(|mark| matches!(mark, Mark::Word(_)));
        if words { Self::words(column) } else { Self::numbers(column) }
    }

    fn numbers(column: &Column) -> Self {
        let number = |mark: &Mark| match mark {
            Mark::Number(x) if x.is_finite() => Some(*x),
            _ => None,
        };
        let all: Vec<Option<f64>> = column.marks.iter().map(number).collect();
        let known = || all.iter().flatten().copied();
        let (Some(low), Some(high)) = (known().reduce(f64::min), known().reduce(f64::max)) else {
            return Self { places: vec![f64::NAN; all.len()], labels: Vec::new() };
        };
        let logarithmic = low > 0.0 && high / low >= LOGARITHMIC;
        let on = |x: f64| if logarithmic { x.log10() } else { x };
        let (from, to) = (on(low), on(high));
        let place = |x: f64| if to > from { (on(x) - from) / (to - from) } else { 0.5 };
        let inner = match logarithmic {
            true => ticks(from, to, 4).into_iter().filter(|t| t.fract() == 0.0).map(|t| 10_f64.powf(t)).collect(),
            false => ticks(low, high, 4),
        };
        let mut labels = vec![(place(low), short(low))];
        // Round numbers between the ends, where there is room.
        let free = |x: f64| (0.08..0.92).contains(&place(x));
        labels.extend(inner.into_iter().filter(|x| free(*x)).map(|x| (place(x), short(x))));
        if high > low {
            labels.push((1.0, short(high)));
        }
        Self { places: all.iter().map(|x| x.map_or(f64::NAN, place)).collect(), labels }
    }

    fn words(column: &Column) -> Self {
        let word = |mark: &Mark| match mark {
            Mark::Word(word) => Some(word.clone()),
            Mark::Number(x) => Some(short(*x)),
            Mark::Missing => None,
        };
        let mut names: Vec<String> = column.marks.iter().filter_map(word).collect();
        names.sort();
        names.dedup();
        let place = |at: usize| if names.len() > 1 { at as f64 / (names.len() - 1) as f64 } else { 0.5 };
        let at = |mark: &Mark| word(mark).and_then(|word| names.binary_search(&word).ok()).map_or(f64::NAN, place);
        Self {
            places: column.marks.iter().map(at).collect(),
            labels: names.iter().enumerate().map(|(at, name)| (place(at), name.clone())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure() -> Parallel {
        let numbers = |name: &str, values: &[f64]| Column {
            name: name.into(),
            marks: values.iter().map(|x| if x.is_nan() { Mark::Missing } else { Mark::Number(*x) }).collect(),
        };
        let words = ["nf4", "f32", "nf4"].map(|word| Mark::Word(word.into())).to_vec();
        Parallel {
            title: "val_loss".into(),
            columns: vec![
                numbers("lr", &[1e-4, 1e-3, 1e-2]),
                Column { name: "base <b>".into(), marks: words },
                numbers("val_loss", &[2.0, 3.0, f64::NAN]),
            ],
            best: Some(0),
            low_is_good: true,
        }
    }

    #[test]
    fn axes_have_their_ends_and_lines_their_places() {
        let scales: Vec<AxisScale> = figure().columns.iter().map(AxisScale::of).collect();
        assert!((scales[0].places[1] - 0.5).abs() < 1e-12, "a logarithmic axis: {:?}", scales[0].places);
        assert_eq!(scales[1].places, [1.0, 0.0, 1.0]);
        assert!(scales[2].places[2].is_nan());
        let svg = figure().svg().expect("a picture");
        assert_eq!(svg, figure().svg().expect("a picture"));
        for part in ["base &lt;b&gt;", ">f32<", ">val_loss<", "stroke-width=\"3\"", ">0.001<"] {
            assert!(svg.contains(part), "no {part} in {svg}");
        }
        assert!(!svg.contains("NaN"));
        assert_eq!(figure().strengths(&scales), [1.0, 0.5, 0.0]);
    }

    #[test]
    fn the_text_form_names_the_axes_and_keeps_to_its_width() {
        let text = figure().text(40);
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.contains("lr 1e-4 … 0.01") || text.contains("lr 0.0001 … 0.01"), "{text}");
        assert!(text.contains("base <b> f32 … nf4"), "{text}");
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        assert!(Parallel::default().svg().is_err_and(|e| e.is_mistake()));
        assert_eq!(Parallel::default().text(40), "(nothing to draw)");
        let flat = Column { name: "x".into(), marks: vec![Mark::Number(1.0)] };
        let one = Parallel { columns: vec![flat.clone(), flat], ..Parallel::default() };
        assert!(one.svg().is_ok_and(|svg| !svg.contains("NaN")));
    }
}
