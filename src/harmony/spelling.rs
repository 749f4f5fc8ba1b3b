//! Note names: a letter with its accidental.

use std::fmt;

/// A letter with its accidental: `F#` is `{ letter: 'F', alter: 1 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spelling {
    /// 'A' to 'G'.
    pub letter: char,
    /// −2 to 2: double flat to double sharp.
    pub alter: i8,
}

/// The letters and their pitch classes, in the order of the scale.
const LETTERS: [(char, i8); 7] = [('C', 0), ('D', 2), ('E', 4), ('F', 5), ('G', 7), ('A', 9), ('B', 11)];

/// The usual name of each pitch class: lead sheets prefer flats, but for F#.
const USUAL: [(char, i8); 12] = [
    ('C', 0),
    ('D', -1),
    ('D', 0),
    ('E', -1),
    ('E', 0),
    ('F', 0),
    ('F', 1),
    ('G', 0),
    ('A', -1),
    ('A', 0),
    ('B', -1),
    ('B', 0),
];

impl Spelling {
    /// The usual name of a pitch class: Db, Eb, F#, Ab, Bb.
    ///
    /// ```
    /// use etude::harmony::Spelling;
    ///
    /// let note = Spelling::of_pitch_class(10);
    /// assert_eq!((note.to_string(), note.transpose(8).to_string()), ("Bb".to_string(), "F#".to_string()));
    /// ```
    pub fn of_pitch_class(pitch_class: u8) -> Self {
        let (letter, alter) = USUAL[usize::from(pitch_class % 12)];
        Self { letter, alter }
    }

    /// Its pitch class, 0–11; C is 0.
    pub fn pitch_class(&self) -> u8 {
        (LETTERS[self.step()].1 + self.alter).rem_euclid(12) as u8
    }

    /// The usual name `semitones` higher; unchanged when that is a number of octaves.
    #[must_use]
    pub fn transpose(&self, semitones: i32) -> Self {
        match semitones.rem_euclid(12) as u8 {
            0 => *self,
            up => Self::of_pitch_class(self.pitch_class() + up),
        }
    }

    /// The note `semitones` higher in the same relation to `new` as this one to `old`: over E, G# becomes A over F. The
    /// usual name when that would need a double accidental.
    #[must_use]
    pub(super) fn follow(&self, old: Self, new: Self, semitones: i32) -> Self {
        let steps = (new.step() + 7 + self.step() - old.step()) % 7;
        let (letter, natural) = LETTERS[steps];
        let target = self.transpose(semitones);
        let alter = (i32::from(target.pitch_class()) - i32::from(natural) + 18) % 12 - 6;
        if alter.abs() <= 1 { Self { letter, alter: alter as i8 } } else { target }
    }

    /// Reads a note name from the beginning of a symbol; gives it with the number of characters it takes.
    pub(super) fn read(symbol: &[char]) -> Option<(Self, usize)> {
        let letter = *symbol.first().filter(|c| ('A'..='G').contains(*c))?;
        let sign = |c: &char| match super::symbol::plain(*c) {
            '#' => 1,
            'b' => -1,
            '𝄪' => 2,
            '𝄫' => -2,
            _ => 0,
        };
        let first = symbol.get(1).map_or(0, sign);
        let second = symbol.get(2).map_or(0, sign);
        let (alter, length) = match (first, second) {
            (0, _) => (0, 1),
            (-2 | 2, _) => (first, 2),
            (a, b) if a == b => (2 * a, 3),
            (a, _) => (a, 2),
        };
        Some((Self { letter, alter }, length))
    }

    fn step(&self) -> usize {
        LETTERS.iter().position(|(letter, _)| *letter == self.letter).unwrap_or(0)
    }
}

impl fmt::Display for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accidental = if self.alter < 0 { "b" } else { "#" };
        write!(f, "{}{}", self.letter, accidental.repeat(usize::from(self.alter.unsigned_abs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(text: &str) -> Spelling {
        let symbol: Vec<char> = text.chars().collect();
        Spelling::read(&symbol).expect("a note").0
    }

    #[test]
    fn every_pitch_class_has_a_usual_name() {
        let names: Vec<String> = (0..12).map(|p| Spelling::of_pitch_class(p).to_string()).collect();
        assert_eq!(names.join(" "), "C Db D Eb E F F# G Ab A Bb B");
        for p in 0..12 {
            assert_eq!(Spelling::of_pitch_class(p).pitch_class(), p);
        }
        assert_eq!(note("Bbb").pitch_class(), 9);
        assert_eq!(note("B♯").pitch_class(), 0);
        assert_eq!(note("Fx").to_string(), "F");
    }

    #[test]
    fn a_bass_keeps_its_place_over_the_root() {
        let moved = |bass: &str, root: &str, by| {
            let root = note(root);
            note(bass).follow(root, root.transpose(by), by).to_string()
        };
        assert_eq!(moved("G#", "E", 1), "A");
        assert_eq!(moved("A", "F", 1), "A#");
        assert_eq!(moved("E", "C", 1), "F");
        assert_eq!(moved("D#", "B", 2), "F");
        assert_eq!(moved("Bb", "C", 2), "C");
    }
}
