//! A matrix as a heat map of shaded characters.

use super::number::short;

/// Shades for positive and for negative values: the latter are strokes, so that the sign shows without colour.
const ABOVE: [char; 5] = [' ', '░', '▒', '▓', '█'];
const BELOW: [char; 5] = [' ', '·', '╌', '═', '≡'];

/// `rows` × `columns` values, row-major, averaged down to at most `width` × `height` cells, and a line that says what
/// the darkest shade stands for. `×` marks a cell with a value that is not finite.
pub fn heat_map(values: &[f32], rows: usize, columns: usize, width: usize, height: usize) -> String {
    let (high, wide) = (rows.min(height), columns.min(width));
    let Some(cells) = cells(values, (rows, columns), (high, wide)) else { return "(no values)".into() };
    let most = cells.iter().filter(|v| v.is_finite()).fold(0.0, |most: f64, v| most.max(v.abs()));
    let mut text: String =
        cells.chunks(wide).map(|row| row.iter().map(|&v| shade(v, most)).chain(['\n']).collect::<String>()).collect();
    text.push_str(&legend(&cells, most, (rows, columns), (high, wide)));
    text
}

/// A matrix averaged down to fewer rows and columns; `None` when there is nothing in it.
pub(super) fn cells(values: &[f32], (rows, columns): (usize, usize), (high, wide): (usize, usize)) -> Option<Vec<f64>> {
    if high == 0 || wide == 0 || values.len() < rows * columns {
        return None;
    }
    let span = |i: usize, cells: usize, all: usize| i * all / cells..(i + 1) * all / cells;
    let mut cells = Vec::with_capacity(high * wide);
    for i in 0..high {
        for j in 0..wide {
            let (down, across) = (span(i, high, rows), span(j, wide, columns));
            let count = (down.len() * across.len()) as f64;
            let sum: f64 =
                down.flat_map(|row| values[row * columns..][across.clone()].iter()).map(|&v| f64::from(v)).sum();
            cells.push(sum / count);
        }
    }
    Some(cells)
}

fn shade(value: f64, most: f64) -> char {
    if !value.is_finite() {
        return '×';
    }
    let level = if most > 0.0 { (value.abs() / most * 4.0).round() as usize } else { 0 };
    if value < 0.0 { BELOW[level] } else { ABOVE[level] }
}

fn legend(cells: &[f64], most: f64, of: (usize, usize), to: (usize, usize)) -> String {
    let mut words = vec![format!("█ {}", short(most))];
    if cells.iter().any(|v| *v < 0.0) {
        words.push(format!("≡ {}", short(-most)));
    }
    if of != to {
        words.push(format!("{} × {} values, averaged", of.0, of.1));
    }
    words.join("   ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_darker_and_the_sign_shows() {
        let text = heat_map(&[0.0, 0.25, 0.5, 0.75, 1.0, -0.25, -0.5, -1.0], 2, 4, 80, 24);
        assert_eq!(text, " ░▒▓\n█·╌≡\n█ 1   ≡ -1");
    }

    #[test]
    fn a_large_matrix_is_averaged() {
        // 4 × 4 into 2 × 2: the means are 1, 0, 0, 0.5.
        #[rustfmt::skip]
        let values = [
            1.0, 1.0, 0.0, 0.0,
            1.0, 1.0, 0.0, 0.0,
            1.0, -1.0, 1.0, 0.0,
            -1.0, 1.0, 1.0, 0.0,
        ];
        assert_eq!(heat_map(&values, 4, 4, 2, 2), "█ \n ▒\n█ 1   4 × 4 values, averaged");
    }

    #[test]
    fn odd_input_gives_a_text() {
        assert_eq!(heat_map(&[], 0, 0, 80, 24), "(no values)");
        assert_eq!(heat_map(&[1.0], 2, 2, 80, 24), "(no values)");
        assert_eq!(heat_map(&[0.0], 1, 1, 80, 24), " \n█ 0");
        assert_eq!(heat_map(&[f32::NAN, 2.0], 1, 2, 80, 24), "×█\n█ 2");
    }
}
