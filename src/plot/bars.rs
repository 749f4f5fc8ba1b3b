//! Bar charts of counts, drawn by plotters, and as text.

use plotters::chart::ChartBuilder;
use plotters::element::Rectangle;
use plotters::style::Color;
use plotters_backend::text_anchor::{HPos, VPos};

use super::axis::{Axis, ticks};
use super::backend::{Area, Backend, Drawn, color, ink, text, units};
use super::number::short;
use super::svg::{COLORS, Svg, text_width};

const SIZE: (f64, f64) = (460.0, 180.0);
/// Sizes of text: the title; numbers and names.
const LARGE: f64 = 13.0;
const SMALL: f64 = 11.0;

/// A bar chart of named counts, from left to right, with a title; where there are many names, only some are written.
pub fn bars(title: &str, counts: &[(String, f64)]) -> String {
    let mut svg = Svg::new(SIZE.0, SIZE.1);
    // The backend never fails.
    let _ = draw(&Backend::area(&mut svg, SIZE), title, counts);
    svg.finish()
}

fn draw(area: &Area<'_>, title: &str, counts: &[(String, f64)]) -> Drawn {
    let finite = || counts.iter().map(|(_, n)| *n).filter(|n| n.is_finite());
    let (low, high) = finite().fold((0.0, 0.0), |(low, high), n| (f64::min(low, n), f64::max(high, n)));
    let y = Axis::around(low, if high > low { high } else { 1.0 }, 3);
    let widest = y.marks.iter().map(|m| text_width(&short(*m), SMALL, false)).fold(0.0, f64::max);
    let left = 12.0 + widest;
    let mut builder = ChartBuilder::on(area);
    builder.margin_top(units(if title.is_empty() { 8.0 } else { 24.0 })).margin_right(units(8.0));
    builder.margin_left(units(1.0)).y_label_area_size(units(left)).x_label_area_size(units(20.0));
    let mut chart = builder.build_cartesian_2d(Axis::bare(0.0, counts.len().max(1) as f64), y)?;
    let small = text(SMALL, false, (HPos::Center, VPos::Center));
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .disable_x_axis()
        .axis_style(ink(0.7).stroke_width(10))
        .bold_line_style(ink(0.22).stroke_width(10))
        .label_style(small);
    mesh.y_label_formatter(&|y| short(*y)).set_all_tick_mark_size(units(2.5)).draw()?;
    let boxes = counts.iter().enumerate().filter(|(_, (_, n))| n.is_finite() && *n != 0.0).map(|(i, (_, n))| {
        let (from, to) = (i as f64 + 0.07, i as f64 + 0.93);
        Rectangle::new([(from, n.max(0.0)), (to, n.min(0.0))], color(COLORS[0], 1.0).filled())
    });
    chart.draw_series(boxes)?;
    let base = ink(0.7).stroke_width(10);
    chart.draw_series(plotters::series::LineSeries::new([(0.0, 0.0), (counts.len().max(1) as f64, 0.0)], base))?;
    if !title.is_empty() {
        let style = text(LARGE, true, (HPos::Left, VPos::Center));
        area.draw_text(title, &style, (units(left + 1.0), units(11.0)))?;
    }
    names(area, counts, left)
}

/// The names below the bars, from left to right wherever there is room.
fn names(area: &Area<'_>, counts: &[(String, f64)], left: f64) -> Drawn {
    let each = (SIZE.0 - left - 9.0) / counts.len().max(1) as f64;
    let mut free = 0.0;
    for (i, (name, _)) in counts.iter().enumerate().filter(|(_, (name, _))| !name.is_empty()) {
        let (x, half) = (left + 1.0 + each * (i as f64 + 0.5), text_width(name, SMALL, false) / 2.0);
        if x - half >= free && x + half <= SIZE.0 {
            let style = text(SMALL, false, (HPos::Center, VPos::Center));
            area.draw_text(name, &style, (units(x), units(SIZE.1 - 9.0)))?;
            free = x + half + 5.0;
        }
    }
    Ok(())
}

/// Values in at most `most` equal classes with round borders: the lower border and the count of each.
///
/// ```
/// let classes = etude::plot::histogram(&[0.5, 1.5, 1.7, 9.5], 10);
/// assert_eq!(classes.iter().map(|(_, count)| count).sum::<f64>(), 4.0);
/// ```
pub fn histogram(values: &[f64], most: usize) -> Vec<(String, f64)> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (Some(low), Some(high)) = (finite().reduce(f64::min), finite().reduce(f64::max)) else { return Vec::new() };
    let borders = ticks(low, high, most / 2);
    let Some(step) = borders.get(1).map(|b| b - borders[0]).filter(|s| *s > 0.0) else {
        return vec![(short(low), finite().count() as f64)];
    };
    let first = (low / step).floor();
    let classes = ((high / step).floor() - first) as usize + 1;
    let mut counts = vec![0.0; classes];
    finite().for_each(|v| counts[(((v / step).floor() - first) as usize).min(classes - 1)] += 1.0);
    counts.into_iter().enumerate().map(|(i, n)| (short((first + i as f64) * step), n)).collect()
}

/// The bars as text of at most `width` columns: a line for each name, its bar and its number.
///
/// ```
/// let text = etude::plot::bars_text("notes", &[("C".into(), 4.0), ("D".into(), 2.0)], 40);
/// assert!(text.starts_with("notes") && text.lines().count() == 3);
/// ```
pub fn bars_text(title: &str, counts: &[(String, f64)], width: usize) -> String {
    let numbers: Vec<String> = counts.iter().map(|(_, n)| short(*n)).collect();
    let chars = |text: &str| text.chars().count();
    let wide = counts.iter().map(|(name, _)| chars(name)).max().unwrap_or(0).min(width / 3);
    let digits = numbers.iter().map(|n| chars(n)).max().unwrap_or(0);
    let room = width.saturating_sub(wide + digits + 3).max(8);
    let most = counts.iter().map(|(_, n)| n.abs()).filter(|n| n.is_finite()).fold(0.0, f64::max);
    let bar = |n: f64| {
        let eighths =
            if n.is_finite() && most > 0.0 { (n.abs() / most * room as f64 * 8.0).round() as usize } else { 0 };
        let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
        "█".repeat(eighths / 8) + rest
    };
    let line = |((name, n), number): (&(String, f64), &String)| {
        let name: String = name.chars().take(wide).collect();
        format!("{name:>wide$} {number:>digits$} {}", bar(*n)).trim_end().to_owned()
    };
    let lines = counts.iter().zip(&numbers).map(line);
    Some(title.to_owned()).filter(|t| !t.is_empty()).into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_round_borders() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let classes = histogram(&values, 20);
        assert_eq!(classes.len(), 10);
        assert_eq!(classes[3], ("30".into(), 10.0));
        assert_eq!(histogram(&[5.0, 5.0, f64::NAN], 20), [("5".into(), 2.0)]);
        assert!(histogram(&[], 20).is_empty());
        assert_eq!(histogram(&[-0.3, 0.2, 0.9], 4).iter().map(|(_, n)| n).sum::<f64>(), 3.0);
        assert!(histogram(&[-1e308, 1e308], 10).iter().map(|(_, n)| n).sum::<f64>() <= 2.0);
    }

    /// The heights of the bars of a picture, in pixels.
    fn heights(svg: &str) -> Vec<f64> {
        let path = svg.split("<path d=\"").find(|p| p.contains(&format!("fill=\"{}\"", COLORS[0]))).expect("bars");
        let data = path.split('"').next().expect("data");
        data.split('v').skip(1).filter_map(|v| v.split('h').next()?.parse().ok()).collect()
    }

    #[test]
    fn bars_are_as_tall_as_their_counts() {
        let counts =
            [("a".into(), 2.0), ("b".into(), 1.0), ("c".into(), 0.0), ("d".into(), f64::NAN), ("e".into(), -1.0)];
        let svg = bars("kinds & co", &counts);
        assert!(svg.contains("kinds &amp; co") && svg.contains(">a<") && !svg.contains("NaN"), "{svg}");
        assert!(svg.contains(">2<") && svg.contains(">0<"), "numbers beside them: {svg}");
        let heights = heights(&svg);
        assert_eq!(heights.len(), 3, "{heights:?} in {svg}");
        assert!((heights[0] / heights[1] - 2.0).abs() < 0.02 && (heights[2] - heights[1]).abs() < 0.2, "{heights:?}");
        assert!(bars("", &[]).ends_with("</svg>\n"));
    }

    #[test]
    fn bars_have_a_text_form() {
        let text = bars_text("pitches", &[("C".into(), 4.0), ("D#".into(), 1.0), ("E".into(), f64::NAN)], 24);
        assert_eq!(text, "pitches\n C   4 ████████████████\nD#   1 ████\n E nan");
    }
}
