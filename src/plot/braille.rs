//! A canvas of dots, two across and four down in each letter, and curves on it.
//!
//! The letters are U+2800 plus one bit a dot; the bits of the eight dots are in the Unicode chart "Braille Patterns".

/// The bit of the dot at (row, column) of a letter.
const BITS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// A canvas of braille letters.
pub(super) struct Canvas {
    columns: usize,
    letters: Vec<u32>,
}

impl Canvas {
    /// An empty canvas of `columns` × `lines` letters.
    pub(super) fn new(columns: usize, lines: usize) -> Self {
        Self { columns, letters: vec![0; columns * lines] }
    }

    /// Dots from left to right.
    pub(super) fn wide(&self) -> usize {
        2 * self.columns
    }

    /// Dots from top to bottom.
    pub(super) fn high(&self) -> usize {
        4 * self.letters.len() / self.columns.max(1)
    }

    /// Draws the values between `low` and `high` as a curve over the whole width; what is not finite is a gap.
    pub(super) fn curve(&mut self, values: &[f64], low: f64, high: f64) {
        let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(i, &v)| (i as f64, v)).collect();
        self.points(&points, (0.0, values.len().saturating_sub(1) as f64), (low, high), true);
    }

    /// Draws points between the ends of both axes, joined by lines or not; what is not finite is a gap.
    pub(super) fn points(&mut self, points: &[(f64, f64)], across: (f64, f64), up: (f64, f64), joined: bool) {
        let (wide, tall) = (self.wide(), self.high());
        // Halved first, because the difference of two huge numbers overflows.
        let share = |v: f64, (from, to): (f64, f64), flat: f64| {
            if to > from { ((v / 2.0 - from / 2.0) / (to / 2.0 - from / 2.0)).clamp(0.0, 1.0) } else { flat }
        };
        let dot = |(x, y): (f64, f64)| {
            let x = (share(x, across, 0.0) * (wide.max(1) - 1) as f64 + 1e-9) as usize;
            (x, ((1.0 - share(y, up, 0.5)) * (tall.max(1) - 1) as f64).round() as usize)
        };
        if wide == 0 || tall == 0 {
            return;
        }
        let mut before = None;
        for &point in points {
            let now = (point.0.is_finite() && point.1.is_finite()).then(|| dot(point));
            if let Some(to) = now {
                self.stroke(before.filter(|_| joined).unwrap_or(to), to);
            }
            before = now;
        }
    }

    /// The lines of the canvas; a letter without dots is a space.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let letter = |bits: &u32| char::from_u32(0x2800 + bits).filter(|_| *bits > 0).unwrap_or(' ');
        self.letters.chunks(self.columns.max(1)).map(move |row| row.iter().map(letter).collect())
    }

    /// Draws a line between two dots (column, row).
    pub(super) fn stroke(&mut self, from: (usize, usize), to: (usize, usize)) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
        let between = |a: usize, b: usize, i: usize| (a * (steps - i) + b * i + steps / 2) / steps;
        for i in 0..=steps {
            let (x, y) = (between(from.0, to.0, i), between(from.1, to.1, i));
            self.letters[y / 4 * self.columns + x / 2] |= BITS[y % 4][x % 2];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(values: &[f64], columns: usize, lines: usize) -> String {
        let mut canvas = Canvas::new(columns, lines);
        canvas.curve(values, 0.0, 1.0);
        canvas.lines().collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_rising_line_goes_from_corner_to_corner() {
        assert_eq!(drawn(&[0.0, 1.0], 2, 1), "⡠⠊");
    }

    #[test]
    fn a_gap_is_left_open() {
        assert_eq!(drawn(&[0.0, f64::NAN, 0.0], 2, 1), "⡀⢀");
    }

    #[test]
    fn a_single_value_is_one_dot() {
        assert_eq!(drawn(&[1.0], 1, 1), "⠁");
    }
}
