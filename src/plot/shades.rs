//! A matrix as colours, in SVG: one colour above zero, one below, the stronger the farther from it.

use std::fmt::Write as _;

use super::heat_map::cells;
use super::number::short;
use super::svg::{Anchor, COLORS, Px, Svg};

/// Cells from left to right and from top to bottom at most; more are averaged.
const MOST: (usize, usize) = (160, 96);
/// Pixels of the longer side at most, and of a cell.
const SIDE: f64 = 640.0;
const CELL: f64 = 22.0;
/// Steps of strength.
const STEPS: usize = 24;
/// Pixels left of the cells and above.
const LEFT: f64 = 34.0;
const TOP: f64 = 16.0;

/// `rows` × `columns` values, row-major, with the numbers of rows and columns, and what the colours stand for. Values
/// that are not finite are crossed out. `None` when there are none.
pub fn shades(values: &[f32], rows: usize, columns: usize) -> Option<String> {
    let (high, wide) = (rows.min(MOST.1), columns.min(MOST.0));
    let means = cells(values, (rows, columns), (high, wide))?;
    let most = means.iter().filter(|v| v.is_finite()).fold(0.0, |most: f64, v| most.max(v.abs()));
    let side = (SIDE / wide.max(high) as f64).clamp(3.0, CELL);
    let mut strokes = vec![String::new(); 2 * STEPS + 1];
    let mut crosses = String::new();
    for (i, row) in means.chunks(wide).enumerate() {
        let y = TOP + (i as f64 + 0.5) * side;
        // Neighbours of one colour are one stroke.
        let mut j = 0;
        while j < wide {
            let step = step(row[j], most);
            let run = row[j..].iter().take_while(|v| self::step(**v, most) == step).count();
            let x = LEFT + j as f64 * side;
            let stroke = match step {
                Some(step) => &mut strokes[step],
                None => &mut crosses,
            };
            let _ = write!(stroke, "M{} {}h{}", Px(x), Px(y), Px(run as f64 * side));
            j += run;
        }
    }
    let (width, height) = (wide as f64 * side, high as f64 * side);
    let mut svg = Svg::new((LEFT + width + 12.0).max(300.0), TOP + height + 34.0);
    for (step, data) in strokes.iter().enumerate() {
        svg.path(data, &format!(" stroke-width=\"{}\"{}", Px(side), ink(step)));
    }
    svg.path(&crosses, &format!(" stroke=\"currentColor\" stroke-width=\"{}\" stroke-dasharray=\"1 2\"", Px(side)));
    svg.rules(&format!("M{LEFT} {TOP}h{}v{}h-{0}z", Px(width), Px(height)), 0.35);
    numbers(&mut svg, (rows, columns), (width, height));
    legend(&mut svg, most, means.iter().any(|v| *v < 0.0), TOP + height + 18.0);
    Some(svg.finish())
}

/// The index of a colour: `STEPS` is zero.
fn step(value: f64, most: f64) -> Option<usize> {
    let share = if most > 0.0 { value / most } else { 0.0 };
    value.is_finite().then(|| (STEPS as f64 * (1.0 + share)).round() as usize)
}

fn ink(step: usize) -> String {
    let color = if step < STEPS { COLORS[0] } else { COLORS[1] };
    let opacity = step.abs_diff(STEPS) as f64 / STEPS as f64;
    format!(" stroke=\"{color}\" stroke-opacity=\"{opacity:.2}\"")
}

/// First and last row and column.
fn numbers(svg: &mut Svg, (rows, columns): (usize, usize), (width, height): (f64, f64)) {
    svg.text(LEFT - 5.0, TOP + 8.0, Anchor::End, 9.0, "0");
    svg.text(LEFT - 5.0, TOP + height.max(18.0), Anchor::End, 9.0, &rows.saturating_sub(1).to_string());
    svg.text(LEFT, TOP - 4.0, Anchor::Start, 9.0, "0");
    svg.text(LEFT + width.max(28.0), TOP - 4.0, Anchor::End, 9.0, &columns.saturating_sub(1).to_string());
}

fn legend(svg: &mut Svg, most: f64, signed: bool, y: f64) {
    let steps: Vec<usize> = if signed { (0..=2 * STEPS).step_by(2).collect() } else { (STEPS..=2 * STEPS).collect() };
    let least = if signed { short(-most) } else { "0".into() };
    svg.text(LEFT, y + 8.0, Anchor::Start, 10.0, &least);
    let x = LEFT + 7.0 * least.chars().count() as f64 + 6.0;
    for (i, step) in steps.iter().enumerate() {
        let x = x + 5.0 * i as f64;
        svg.path(&format!("M{} {}v9", Px(x + 2.5), Px(y)), &format!(" stroke-width=\"5\"{}", ink(*step)));
    }
    svg.text(x + 5.0 * steps.len() as f64 + 6.0, y + 8.0, Anchor::Start, 10.0, &short(most));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_have_colours_of_their_own() {
        let svg = shades(&[-1.0, 1.0, 1.0, 0.5], 2, 2).expect("a picture");
        assert!(
            svg.contains(&format!(
                "d=\"M34 27h22\" fill=\"none\" stroke-width=\"22\" stroke=\"{}\" stroke-opacity=\"1.00\"",
                COLORS[0]
            )),
            "{svg}"
        );
        assert!(
            svg.contains(&format!(
                "d=\"M56 27h22M34 49h22\" fill=\"none\" stroke-width=\"22\" stroke=\"{}\"",
                COLORS[1]
            )),
            "{svg}"
        );
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
