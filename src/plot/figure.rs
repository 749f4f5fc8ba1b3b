//! Charts of lines and points, as SVG, as text and as files.

use std::path::Path;

use super::braille::Canvas;
use super::number::short;
use super::save;
use super::series::{Series, SeriesStyle, range};
use crate::error::Result;

/// A chart of series over their index or over given x values, with a title and axis labels.
#[derive(Debug, Clone, Default)]
pub struct Figure {
    /// The title above the picture.
    pub title: String,
    /// The label below the horizontal axis.
    pub x_label: String,
    /// The label beside the vertical axis.
    pub y_label: String,
    /// The series, the first at the back.
    pub series: Vec<Series>,
    /// The ends of the horizontal axis; those of the series if `None`.
    pub x_range: Option<(f64, f64)>,
}

impl Figure {
    /// The picture as text of at most `width` columns (20 at least): a curve of dots, the numbers of both axes, and the
    /// least and last value of each series.
    pub fn text(&self, width: usize) -> String {
        let Some((low, high)) = self.range() else { return "(nothing to plot)".into() };
        let width = width.max(20);
        let lines = (width / 7).clamp(5, 14);
        let names: Vec<String> = (0..lines).map(|line| y_name(line, lines, low, high)).collect();
        let gutter = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
        let mut canvas = Canvas::new(width.saturating_sub(gutter + 1).max(8), lines);
        let (first, last) = self.span();
        let canvas_wide = canvas.wide();
        // A faint series is left out where its dots would merge.
        let crowded = |series: &Series| series.style == SeriesStyle::Faint && series.y.len() > canvas_wide;
        for series in self.series.iter().filter(|series| !crowded(series)) {
            let points: Vec<(f64, f64)> = series.points().map(|(x, y)| (x, y.unwrap_or(f64::NAN))).collect();
            canvas.points(&points, (first, last), (low, high), series.style != SeriesStyle::Points);
        }
        let mut text = Vec::new();
        text.extend([&self.title, &self.y_label].into_iter().filter(|t| !t.is_empty()).cloned());
        for (name, dots) in names.iter().zip(canvas.lines()) {
            let line = if name.is_empty() { '│' } else { '┤' };
            text.push(format!("{name:>gutter$}{line}{}", dots));
        }
        let columns = canvas.wide() / 2;
        let (first, last) = (short(first), short(last));
        let label = if self.x_label.is_empty() { String::new() } else { format!(" {} ", self.x_label) };
        let room = columns.saturating_sub(first.len() + last.len());
        text.push(format!("{:>gutter$}└{}", "", "─".repeat(columns)));
        text.push(format!("{:gutter$} {first}{label:^room$.room$}{last}", ""));
        text.extend(self.series.iter().enumerate().filter_map(|(at, series)| self.legend(at, series)));
        text.iter().map(|l| l.trim_end()).collect::<Vec<_>>().join("\n")
    }

    /// Writes the chart as `.svg` or `.png`, by the extension of the path.
    ///
    /// # Errors
    /// Another extension, nothing to draw, or a path the file system refuses.
    pub fn save(&self, path: &Path) -> Result<()> {
        save(&self.svg()?, path)
    }

    /// The least and the greatest finite value.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        range(self.series.iter().flat_map(|series| series.points().filter_map(|(_, y)| y)))
    }

    /// The ends of the horizontal axis.
    pub(super) fn span(&self) -> (f64, f64) {
        let own = || self.series.iter().filter_map(Series::span).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        match self.x_range.or_else(own) {
            Some((first, last)) if last > first => (first, last),
            Some((first, _)) => (first, first + 1.0),
            None => (0.0, 1.0),
        }
    }

    /// The last and least value of a series; for a smoothed one, those of the values it smooths.
    fn legend(&self, at: usize, series: &Series) -> Option<String> {
        let behind = at.checked_sub(1).map(|before| &self.series[before]).filter(|s| s.style == SeriesStyle::Faint);
        if series.style == SeriesStyle::Faint {
            return None;
        }
        let finite = || behind.unwrap_or(series).y.iter().copied().filter(|v| v.is_finite());
        let (last, least) = (finite().next_back()?, finite().fold(f64::INFINITY, f64::min));
        let name = if series.name.is_empty() { String::new() } else { format!("{}: ", series.name) };
        Some(format!("{name}last {}, least {}", short(last), short(least)))
    }
}

/// The number beside a line of the picture: at the top, the bottom and the middle.
fn y_name(line: usize, lines: usize, low: f64, high: f64) -> String {
    match line {
        0 => short(high),
        _ if line == lines - 1 => short(low),
        _ if line == lines / 2 && lines % 2 == 1 => short(low / 2.0 + high / 2.0),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn falling() -> Figure {
        Figure {
            title: "training".into(),
            x_label: "step".into(),
            y_label: "loss".into(),
            series: vec![Series::line("train", (0..40).map(|i| 4.0 / f64::from(i + 1)).collect())],
            x_range: None,
        }
    }

    #[test]
    fn the_text_form_has_axes_and_numbers() {
        assert_eq!(
            falling().text(36),
            "
training
loss
   4┤⡇
    │⢱
2.05┤⠸⡀
    │ ⠑⡄
 0.1┤  ⠈⠉⠒⠒⠢⠤⠤⠤⠤⠤⠤⠤⢄⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀
    └───────────────────────────────
     0            step            39
train: last 0.1, least 0.1"
                .trim_start()
        );
    }

    #[test]
    fn the_text_form_keeps_to_its_width() {
        for width in [0, 20, 33, 80, 200] {
            let text = falling().text(width);
            assert!(text.lines().all(|l| l.chars().count() <= width.max(26)), "{width}\n{text}");
        }
    }

    #[test]
    fn the_same_figure_is_the_same_svg() {
        let svg = falling().svg().expect("a picture");
        assert_eq!(svg, falling().svg().expect("a picture"));
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        // The numbers of both axes, too.
        for word in ["training", "step", "loss", "train", "<path", ">4<", ">2<", ">20<"] {
            assert!(svg.contains(word), "no {word} in {svg}");
        }
    }

    #[test]
    fn names_with_markup_in_them_are_escaped() {
        let mut figure = falling();
        figure.title = "a < b & \"c\"".into();
        let svg = figure.svg().expect("a picture");
        assert!(svg.contains("a &lt; b &amp; "), "{svg}");
    }

    #[test]
    fn odd_values_are_drawn_or_refused() {
        let of = |values: &[f64]| Figure { series: vec![Series::line("", values.to_vec())], ..Figure::default() };
        assert_eq!(of(&[]).text(40), "(nothing to plot)");
        assert!(of(&[f64::NAN]).svg().is_err_and(|e| e.is_mistake()));
        for values in [&[1.0][..], &[2.0, 2.0], &[f64::NAN, 1.0, f64::INFINITY], &[-1e300, 1e300], &[1e-300, 2e-300]] {
            let svg = of(values).svg().expect("a picture");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{values:?}: {svg}");
            assert!(of(values).text(40).contains('┤'), "{values:?}");
        }
    }

    #[test]
    fn a_figure_is_written_as_svg_and_png() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("loss.svg");
        falling().save(&path).expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), falling().svg().expect("a picture"));
        let path = folder.path().join("loss.PNG");
        falling().save(&path).expect("written");
        assert!(std::fs::read(&path).expect("read").starts_with(b"\x89PNG"));
        let error = falling().save(Path::new("loss.gif")).expect_err("no gif");
        assert_eq!(error.hint(), Some("save(\"loss.svg\") or save(\"loss.png\")"));
    }
}
