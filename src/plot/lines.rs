//! A figure as SVG, drawn by `plotters`.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::Figure;
use super::number::short;
use crate::error::{Error, Result};

/// Width and height in pixels.
const SIZE: (u32, u32) = (800, 400);

/// Colours that people with any kind of sight tell apart (Okabe and Ito, "Color Universal Design", 2008).
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Draws the figure; `low..high` are the values on the vertical axis, `last` is the last index.
pub(super) fn draw(figure: &Figure, (low, high): (f64, f64), last: usize) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        chart(figure, &area, (low, high), last).map_err(|e| Error::internal(e.to_string()))?;
        area.present().map_err(|e| Error::internal(e.to_string()))?;
    }
    Ok(text)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn chart<'a>(
    figure: &Figure,
    area: &Area<'a>,
    (low, high): (f64, f64),
    last: usize,
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>> {
    area.fill(&WHITE)?;
    let mut builder = ChartBuilder::on(area);
    builder.margin(12).x_label_area_size(40).y_label_area_size(60);
    if !figure.title.is_empty() {
        builder.caption(&figure.title, ("sans-serif", 18));
    }
    let mut chart = builder.build_cartesian_2d(0.0..last.max(1) as f64, low..high)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc(&figure.x_label)
        .y_desc(&figure.y_label)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .draw()?;
    for (index, (name, values)) in figure.series.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let runs = runs(values, 2 * SIZE.0 as usize);
        for (i, run) in runs.into_iter().enumerate() {
            let dot = (run.len() == 1).then(|| Circle::new(run[0], 2, color.filled()));
            let line = chart.draw_series(LineSeries::new(run, color.stroke_width(2)))?;
            if i == 0 && !name.is_empty() {
                line.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
            }
            chart.draw_series(dot)?;
        }
    }
    if figure.series.iter().any(|(name, _)| !name.is_empty()) {
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.2)).draw()?;
    }
    Ok(())
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
