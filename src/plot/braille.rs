//! A canvas of dots, two across and four down in each letter, and curves on it.
//!
//! The letters are U+2800 plus one bit a dot; the bits of the eight dots are in the Unicode chart "Braille Patterns".

/// Bit of the dot at (down, across) in a letter.
const BITS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// Dots in letters.
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
        let (wide, tall) = (self.wide(), self.high());
        let dot = |i: usize, v: f64| {
            let x = if values.len() > 1 { i * (wide - 1) / (values.len() - 1) } else { 0 };
            let share = if high > low { ((v - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
            (x, ((1.0 - share) * (tall - 1) as f64).round() as usize)
        };
        let mut before = None;
        for (i, &v) in values.iter().enumerate() {
            let now = v.is_finite().then(|| dot(i, v));
            if let Some(to) = now {
                self.stroke(before.unwrap_or(to), to);
            }
            before = now;
        }
    }

    /// The lines of the canvas; a letter without dots is a space.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let letter = |bits: &u32| char::from_u32(0x2800 + bits).filter(|_| *bits > 0).unwrap_or(' ');
        self.letters.chunks(self.columns.max(1)).map(move |row| row.iter().map(letter).collect())
    }

    fn stroke(&mut self, from: (usize, usize), to: (usize, usize)) {
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
