//! Parallel coordinates (Inselberg 1985): an upright axis for each quantity, a line across them for each thing.

use std::fmt::Write as _;

use super::axis::ticks;
use super::braille::Canvas;
use super::number::short;
use super::svg::{Anchor, COLORS, Px, Svg};
use crate::error::{Error, Result};

const HIGH: f64 = 340.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 22.0;
/// Pixels between two axes.
const APART: f64 = 132.0;
const SIDE: f64 = 64.0;
/// Numbers above zero that span as many times themselves stand on a logarithmic axis.
const LOGARITHMIC: f64 = 50.0;

/// What stands on an axis.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
    /// Nothing: the line has a gap.
    Missing,
}

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// What it shows.
    pub name: String,
    /// A mark for each line.
    pub marks: Vec<Mark>,
}

/// Lines across upright axes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parallel {
    /// Above the picture.
    pub title: String,
    /// From left to right; all have as many marks.
    pub columns: Vec<Column>,
    /// The line to see first.
    pub best: Option<usize>,
    /// Whether lines low on the last axis are drawn stronger, rather than high ones.
    pub low_is_good: bool,
}

/// An axis with its lines' places on it, from 0 at the bottom to 1.
struct Scale {
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
        let scales: Vec<Scale> = self.columns.iter().map(Scale::of).collect();
        let x = |at: usize| SIDE + APART * at as f64;
        let y = |place: f64| TOP + (1.0 - place) * (HIGH - TOP - BOTTOM);
        let mut svg = Svg::new(2.0 * SIDE + APART * (self.columns.len() - 1) as f64, HIGH);
        svg.styled((SIDE, 16.0), Anchor::Start, 14.0, " font-weight=\"600\"", &self.title);
        let strength = self.strengths(&scales);
        let mut order: Vec<usize> = (0..self.lines()).collect();
        order.sort_by(|&a, &b| strength[a].total_cmp(&strength[b])); // the strongest on top
        for line in order.into_iter().filter(|line| self.best != Some(*line)).chain(self.best) {
            let mut data = String::new();
            let mut pen = 'M';
            for (at, scale) in scales.iter().enumerate() {
                let place = scale.places.get(line).copied().unwrap_or(f64::NAN);
                pen = if place.is_finite() {
                    let _ = write!(data, "{pen}{} {}", Px(x(at)), Px(y(place)));
                    'L'
                } else {
                    'M'
                };
            }
            let (color, wide, opacity) = if self.best == Some(line) {
                (COLORS[1], 3.0, 1.0)
            } else {
                (COLORS[0], 1.5, 0.2 + 0.6 * strength[line])
            };
            let style = format!(
                " stroke=\"{color}\" stroke-width=\"{wide}\" stroke-opacity=\"{opacity:.2}\" stroke-linejoin=\"round\""
            );
            svg.path(&data, &style);
        }
        for (at, (column, scale)) in self.columns.iter().zip(&scales).enumerate() {
            svg.rules(&format!("M{} {}V{}", Px(x(at)), Px(y(1.0)), Px(y(0.0))), 0.6);
            svg.styled((x(at), TOP - 12.0), Anchor::Middle, 11.5, " font-weight=\"600\"", &column.name);
            for (place, label) in &scale.labels {
                svg.rules(&format!("M{} {}h-4", Px(x(at)), Px(y(*place))), 0.6);
                svg.text(x(at) - 7.0, y(*place) + 3.4, Anchor::End, 9.5, label);
            }
        }
        Ok(svg.finish())
    }

    /// The picture as text of at most `width` columns: the lines as dots, the axes by name and ends below.
    pub fn text(&self, width: usize) -> String {
        if self.columns.len() < 2 || self.lines() == 0 {
            return "(nothing to draw)".into();
        }
        let scales: Vec<Scale> = self.columns.iter().map(Scale::of).collect();
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
        let ends = |scale: &Scale| match (scale.labels.first(), scale.labels.last()) {
            (Some((_, low)), Some((_, high))) if low != high => format!("{low} … {high}"),
            (Some((_, only)), _) => only.clone(),
            _ => String::new(),
        };
        let word = |(column, scale): (&Column, &Scale)| format!("{} {}", column.name, ends(scale));
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

    fn lines(&self) -> usize {
        self.columns.iter().map(|column| column.marks.len()).max().unwrap_or(0)
    }

    /// How strongly each line is drawn, 0 to 1: by its rank on the last axis.
    fn strengths(&self, scales: &[Scale]) -> Vec<f64> {
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

impl Scale {
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
        let scales: Vec<Scale> = figure().columns.iter().map(Scale::of).collect();
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
