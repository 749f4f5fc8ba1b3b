//! The chart of a figure, drawn by plotters: lines and dots, round numbers on both axes, a legend of named series.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::element::{Circle, PathElement};
use plotters::series::LineSeries;
use plotters::style::{Color, RGBAColor, ShapeStyle};
use plotters_backend::text_anchor::{HPos, VPos};

use super::Figure;
use super::axis::{Axis, ticks};
use super::backend::{Area, Backend, Drawn, color, failed, ink, text, units};
use super::number::short;
use super::series::{Series, SeriesStyle};
use super::svg::{COLORS, Svg, text_width};
use crate::error::{Error, Result};

/// Width and height of the picture, in pixels.
const SIZE: (f64, f64) = (720.0, 360.0);

/// Sizes of text: numbers and names of axes, and the title.
const SMALL: f64 = 12.5;
const LARGE: f64 = 15.0;
/// Dots drawn at most.
const MOST_DOTS: usize = 20_000;

type LineChart<'c, 's> = ChartContext<'c, Backend<'s>, Cartesian2d<Axis, Axis>>;

impl Figure {
    /// The picture as SVG, 720 × 360 pixels; the same input gives the same bytes. Values that are not finite are gaps.
    ///
    /// # Errors
    /// When there is nothing to draw.
    ///
    /// ```
    /// use etude::plot::{Figure, Series};
    ///
    /// let figure = Figure { series: vec![Series::line("loss", vec![3.0, 2.0, 1.5])], ..Figure::default() };
    /// assert!(figure.svg()?.starts_with("<svg"));
    /// assert!(Figure::default().svg().is_err());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn svg(&self) -> Result<String> {
        if self.range().is_none() {
            return Err(Error::mistake("there is nothing to plot").with_hint("give it at least one finite number"));
        }
        let mut svg = Svg::new(SIZE.0, SIZE.1);
        draw(&Backend::area(&mut svg, SIZE), self).map_err(failed)?;
        Ok(svg.finish())
    }
}

/// Draws the figure on an area.
pub(super) fn draw(area: &Area<'_>, figure: &Figure) -> Drawn {
    let (wide, high) = area.dim_in_pixel();
    let (wide, high) = (f64::from(wide) / 10.0, f64::from(high) / 10.0);
    let Some((low, top)) = figure.range() else { return Ok(()) };
    let y = Axis::around(low, top, (high / 62.0) as usize);
    let widest = y.marks.iter().map(|m| text_width(&short(*m), SMALL, false)).fold(0.0, f64::max);
    let left = 14.0 + widest + if figure.y_label.is_empty() { 0.0 } else { 20.0 };
    let (first, last) = figure.span();
    let mut x = Axis::between(first, last, ((wide - left) / 92.0) as usize);
    if figure.series.iter().all(|series| series.x.is_none()) {
        // Steps are integers.
        x.marks =
            ticks(first, last, ((wide - left) / 92.0) as usize).into_iter().filter(|t| t.fract() == 0.0).collect();
    }
    let title = if figure.title.is_empty() { 6.0 } else { 28.0 };
    let legend = if figure.series.iter().any(|series| !series.name.is_empty()) { 20.0 } else { 0.0 };
    let mut builder = ChartBuilder::on(area);
    builder.margin_top(units(title + legend)).margin_right(units(16.0)).margin_bottom(units(2.0));
    builder.margin_left(units(2.0)).y_label_area_size(units(left));
    builder.x_label_area_size(units(if figure.x_label.is_empty() { 24.0 } else { 42.0 }));
    let mut chart = builder.build_cartesian_2d(x, y)?;
    axes(&mut chart, figure)?;
    for (series, hue) in figure.series.iter().zip(hues(&figure.series)) {
        match series.style {
            SeriesStyle::Line => line(&mut chart, series, wide, color(hue, 1.0).stroke_width(20))?,
            SeriesStyle::Faint => line(&mut chart, series, wide, color(hue, 0.3).stroke_width(12))?,
            SeriesStyle::Points => dots(&mut chart, series, color(hue, 0.75))?,
        }
    }
    names(area, figure, (left, title, wide))
}

fn axes(chart: &mut LineChart<'_, '_>, figure: &Figure) -> Drawn {
    let small = || text(SMALL, false, (HPos::Center, VPos::Center));
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().bold_line_style(ink(0.22).stroke_width(10));
    mesh.axis_style(ink(0.7).stroke_width(10)).label_style(small()).axis_desc_style(small());
    mesh.set_all_tick_mark_size(units(4.0));
    if !figure.x_label.is_empty() {
        mesh.x_desc(figure.x_label.as_str());
    }
    if !figure.y_label.is_empty() {
        mesh.y_desc(figure.y_label.as_str());
    }
    mesh.x_label_formatter(&|x| short(*x)).y_label_formatter(&|y| short(*y));
    mesh.draw()
}

/// The unbroken parts of a series as lines; a part of one point is a dot.
fn line(chart: &mut LineChart<'_, '_>, series: &Series, wide: f64, style: ShapeStyle) -> Drawn {
    for run in runs(series, 2 * wide.max(1.0) as usize) {
        if let [point] = run[..] {
            let radius = style.stroke_width + 10;
            chart.draw_series([Circle::new(point, radius, style.color.filled())])?;
        } else {
            chart.draw_series(LineSeries::new(run, style))?;
        }
    }
    Ok(())
}

fn dots(chart: &mut LineChart<'_, '_>, series: &Series, color: RGBAColor) -> Drawn {
    let every = series.y.len().div_ceil(MOST_DOTS).max(1);
    let points = series.points().step_by(every).filter_map(|(x, y)| Some((x, y?)));
    let radius = units(if series.y.len() > 500 { 1.6 } else { 3.0 });
    chart.draw_series(points.map(|point| Circle::new(point, radius, color.filled())))?;
    Ok(())
}

/// Title, and the names of the series above them.
fn names(area: &Area<'_>, figure: &Figure, (left, title, wide): (f64, f64, f64)) -> Drawn {
    if !figure.title.is_empty() {
        let style = text(LARGE, true, (HPos::Center, VPos::Center));
        area.draw_text(&figure.title, &style, (units((left + wide - 16.0) / 2.0), units(15.0)))?;
    }
    let (mut x, y) = (left, title + 8.0);
    for (series, hue) in figure.series.iter().zip(hues(&figure.series)).filter(|(s, _)| !s.name.is_empty()) {
        let next = x + 26.0 + text_width(&series.name, SMALL, false) + 12.0;
        if next > wide {
            break;
        }
        let style = color(hue, 1.0).stroke_width(30);
        area.draw(&PathElement::new([(units(x + 2.0), units(y)), (units(x + 16.0), units(y))], style))?;
        area.draw_text(&series.name, &text(SMALL, false, (HPos::Left, VPos::Center)), (units(x + 24.0), units(y)))?;
        x = next;
    }
    Ok(())
}

/// The colour of each series; a faint series has that of the one after it.
fn hues(series: &[Series]) -> impl Iterator<Item = &'static str> {
    series.iter().scan(0, |next, series| {
        let hue = COLORS[*next % COLORS.len()];
        *next += usize::from(series.style != SeriesStyle::Faint);
        Some(hue)
    })
}

/// The runs of finite points; of more than `most` in a run, the minimum and maximum of each group, so that no spike is
/// lost.
fn runs(series: &Series, most: usize) -> Vec<Vec<(f64, f64)>> {
    let mut runs = vec![Vec::new()];
    let mut push = |point: (f64, Option<f64>)| {
        let Some(run) = runs.last_mut() else { return };
        match point {
            (x, Some(y)) => run.push((x, y)),
            _ if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    };
    let points: Vec<(f64, Option<f64>)> = series.points().collect();
    let rising = points.is_sorted_by(|a, b| a.0 <= b.0);
    let group = if rising { points.len().div_ceil(most.max(2) / 2).max(1) } else { 1 };
    for part in points.chunks(group) {
        let values: Option<Vec<f64>> = part.iter().map(|p| p.1).collect();
        let Some(values) = values.filter(|_| points.len() > most && rising) else {
            part.iter().for_each(|point| push(*point));
            continue;
        };
        let order = |a: &usize, b: &usize| values[*a].total_cmp(&values[*b]);
        let (least, greatest) = ((0..part.len()).min_by(order), (0..part.len()).max_by(order));
        let (Some(least), Some(greatest)) = (least, greatest) else { continue };
        push(part[least.min(greatest)]);
        if least != greatest {
            push(part[least.max(greatest)]);
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
        let series = Series::line("", vec![1.0, 2.0, f64::NAN, f64::NAN, 3.0, f64::INFINITY]);
        assert_eq!(runs(&series, 100), [vec![(0.0, 1.0), (1.0, 2.0)], vec![(4.0, 3.0)]]);
        assert!(runs(&Series::line("", vec![f64::NAN]), 100).is_empty());
    }

    #[test]
    fn a_spike_among_a_million_is_kept() {
        let mut values = vec![1.0; 1_000_000];
        values[123_456] = 9.0;
        let runs = runs(&Series::line("", values), 1600);
        assert_eq!(runs.len(), 1);
        assert!(runs[0].len() <= 1600, "{}", runs[0].len());
        assert!(runs[0].contains(&(123_456.0, 9.0)));
        assert!(runs[0].is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_line_that_turns_back_is_drawn_whole() {
        let turn = Series::over("", vec![0.0, 2.0, 1.0], vec![0.0, 1.0, 2.0], SeriesStyle::Line);
        assert_eq!(runs(&turn, 2), [vec![(0.0, 0.0), (2.0, 1.0), (1.0, 2.0)]]);
    }

    #[test]
    fn a_smoothed_line_has_the_colour_of_what_it_smooths() {
        let mut series = Series::smoothed("a", vec![1.0; 9], 5);
        series.push(Series::line("b", vec![1.0]));
        assert_eq!(hues(&series).collect::<Vec<_>>(), [COLORS[0], COLORS[0], COLORS[1]]);
    }
}
