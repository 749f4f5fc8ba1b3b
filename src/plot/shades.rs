//! A matrix as a heat map drawn by plotters: one colour for positive values, another for negative ones, stronger with
//! magnitude.

use plotters::chart::ChartBuilder;
use plotters::element::{PathElement, Rectangle};
use plotters::style::{Color, RGBAColor};
use plotters_backend::text_anchor::{HPos, VPos};

use super::axis::Axis;
use super::backend::{Area, Backend, Drawn, color, ink, text, units};
use super::heat_map::cells;
use super::number::short;
use super::svg::{COLORS, Svg, text_width};

/// Cells from left to right and from top to bottom at most; more are averaged.
const MOST: (usize, usize) = (160, 96);
/// Pixels of the longer side at most, and of a cell.
const SIDE: f64 = 640.0;
const CELL: f64 = 22.0;
/// The number of shades.
const STEPS: usize = 24;
/// Pixels left of the cells and above, and the size of numbers.
const LEFT: f64 = 34.0;
const TOP: f64 = 18.0;
const SMALL: f64 = 10.0;

/// `rows` × `columns` values, row-major, with the numbers of rows and columns, and what the colours stand for. Values
/// that are not finite are crossed out. `None` when there are none.
pub fn shades(values: &[f32], rows: usize, columns: usize) -> Option<String> {
    let (high, wide) = (rows.min(MOST.1), columns.min(MOST.0));
    let means = cells(values, (rows, columns), (high, wide))?;
    let side = (SIDE / wide.max(high) as f64).clamp(3.0, CELL).floor();
    let grid = ShadeGrid { means: &means, wide, side, most: most(&means), of: (rows, columns) };
    let size = ((LEFT + grid.width() + 12.0).max(300.0), TOP + grid.height() + 34.0);
    let mut svg = Svg::new(size.0, size.1);
    grid.draw(&Backend::area(&mut svg, size)).ok()?;
    Some(svg.finish())
}

fn most(means: &[f64]) -> f64 {
    means.iter().filter(|v| v.is_finite()).fold(0.0, |most: f64, v| most.max(v.abs()))
}

/// The cells of a picture.
struct ShadeGrid<'v> {
    means: &'v [f64],
    wide: usize,
    side: f64,
    most: f64,
    /// Rows and columns of the matrix.
    of: (usize, usize),
}

impl ShadeGrid<'_> {
    fn width(&self) -> f64 {
        self.wide as f64 * self.side
    }

    fn height(&self) -> f64 {
        (self.means.len() / self.wide) as f64 * self.side
    }

    fn draw(&self, area: &Area<'_>) -> Drawn {
        let part = area.clone().shrink(
            (units(LEFT), units(TOP)),
            // plotters' last unit belongs to no value.
            (units(self.width()) + 1, units(self.height()) + 1),
        );
        let (columns, rows) = (self.wide as f64, (self.means.len() / self.wide) as f64);
        let mut chart = ChartBuilder::on(&part).build_cartesian_2d(Axis::bare(0.0, columns), Axis::bare(rows, 0.0))?;
        let mut runs = self.runs();
        // Runs of a colour in a row, so that they are one path.
        runs.sort_by_key(|run| run.step);
        for run in runs {
            let corners = [(run.from as f64, run.row as f64), (run.to as f64, run.row as f64 + 1.0)];
            match run.step {
                Some(STEPS) => {}
                Some(step) => drop(chart.draw_series([Rectangle::new(corners, ink_of(step).filled())])?),
                None => {
                    let cross = PathElement::new(corners, ink(1.0).stroke_width(10));
                    chart.draw_series([cross])?;
                }
            }
        }
        part.draw(&Rectangle::new([(0, 0), (units(self.width()), units(self.height()))], ink(0.5).stroke_width(10)))?;
        self.numbers(area)?;
        self.legend(area)
    }

    /// Neighbours of one colour; a cell that is not finite is a run of its own.
    fn runs(&self) -> Vec<ShadeRun> {
        let mut runs: Vec<ShadeRun> = Vec::new();
        for (i, value) in self.means.iter().enumerate() {
            let (row, at, step) = (i / self.wide, i % self.wide, step(*value, self.most));
            match runs.last_mut() {
                Some(last) if last.row == row && last.step == step && step.is_some() => last.to = at + 1,
                _ => runs.push(ShadeRun { row, from: at, to: at + 1, step }),
            }
        }
        runs
    }

    /// Labels the first and last row and column.
    fn numbers(&self, area: &Area<'_>) -> Drawn {
        let (rows, columns) = self.of;
        let right = text(SMALL, false, (HPos::Right, VPos::Center));
        area.draw_text("0", &right, (units(LEFT - 5.0), units(TOP + 6.0)))?;
        let last = rows.saturating_sub(1).to_string();
        area.draw_text(&last, &right, (units(LEFT - 5.0), units(TOP + self.height().max(20.0) - 5.0)))?;
        area.draw_text("0", &text(SMALL, false, (HPos::Left, VPos::Center)), (units(LEFT), units(TOP - 8.0)))?;
        let last = columns.saturating_sub(1).to_string();
        area.draw_text(&last, &right, (units(LEFT + self.width().max(28.0)), units(TOP - 8.0)))
    }

    fn legend(&self, area: &Area<'_>) -> Drawn {
        let signed = self.means.iter().any(|v| *v < 0.0);
        let steps: Vec<usize> =
            if signed { (0..=2 * STEPS).step_by(2).collect() } else { (STEPS..=2 * STEPS).collect() };
        let least = if signed { short(-self.most) } else { "0".into() };
        let left = text(SMALL, false, (HPos::Left, VPos::Center));
        let y = TOP + self.height() + 22.0;
        area.draw_text(&least, &left, (units(LEFT), units(y)))?;
        let x = LEFT + text_width(&least, SMALL, false) + 6.0;
        for (i, step) in steps.iter().enumerate().filter(|(_, step)| **step != STEPS) {
            let x = x + 5.0 * i as f64;
            let corners = [(units(x), units(y - 5.0)), (units(x + 5.0), units(y + 4.0))];
            area.draw(&Rectangle::new(corners, ink_of(*step).filled()))?;
        }
        area.draw_text(&short(self.most), &left, (units(x + 5.0 * steps.len() as f64 + 6.0), units(y)))
    }
}

/// Cells of one colour in a row of the matrix.
struct ShadeRun {
    row: usize,
    from: usize,
    to: usize,
    step: Option<usize>,
}

/// The index of a colour: `STEPS` is zero.
fn step(value: f64, most: f64) -> Option<usize> {
    let share = if most > 0.0 { value / most } else { 0.0 };
    value.is_finite().then(|| (STEPS as f64 * (1.0 + share)).round() as usize)
}

fn ink_of(step: usize) -> RGBAColor {
    let hue = if step < STEPS { COLORS[0] } else { COLORS[1] };
    color(hue, step.abs_diff(STEPS) as f64 / STEPS as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_have_colours_of_their_own() {
        let svg = shades(&[-1.0, 1.0, 1.0, 0.5], 2, 2).expect("a picture");
        let below = format!("d=\"M34 18h22v22h-22z\" fill=\"{}\"", COLORS[0]);
        let above = format!("d=\"M56 18h22v22h-22zM34 40h22v22h-22z\" fill=\"{}\"", COLORS[1]);
        assert!(svg.contains(&below) && svg.contains(&above), "{svg}");
        assert!(svg.contains(">-1<") && svg.contains(">1<"));
    }

    #[test]
    fn large_and_odd_matrices_are_drawn() {
        let values: Vec<f32> = (0..1_000_000).map(|i| ((i % 977) as f32).sin()).collect();
        let svg = shades(&values, 1000, 1000).expect("a picture");
        assert!(svg.len() < 400_000, "{} bytes", svg.len());
        assert_eq!(shades(&[], 0, 0), None);
        for odd in [&[f32::NAN, 1.0][..], &[0.0, 0.0], &[f32::INFINITY, f32::NEG_INFINITY], &[f32::MAX, f32::MIN]] {
            let svg = shades(odd, 1, 2).expect("a picture");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
