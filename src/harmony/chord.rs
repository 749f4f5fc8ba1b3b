//! One chord symbol: parsed from the spellings of lead sheets, printed, transposed, spelled out as pitches.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::harmony::ChordClass;

/// A letter with its accidental: `F#` is `{ letter: 'F', alter: 1 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spelling {
    /// 'A' to 'G'.
    pub letter: char,
    /// −2 to 2: double flat to double sharp.
    pub alter: i8,
}

/// A chord: a root, a quality as it was written, an optional bass; or "N.C.".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chord {
    root: Option<Spelling>,
    quality: String,
    bass: Option<Spelling>,
    intervals: Vec<u8>,
}

impl Chord {
    /// "N.C.": no chord.
    pub fn none() -> Self {
        Self { root: None, quality: String::new(), bass: None, intervals: Vec::new() }
    }

    /// The symbol: "F#m7b5", "B7b9/D#", "N.C.".
    pub fn name(&self) -> String {
        todo!()
    }

    /// The root, unless there is no chord.
    pub fn root(&self) -> Option<Spelling> {
        self.root
    }

    /// What follows the root, as it was written: "m7b5".
    pub fn quality(&self) -> &str {
        &self.quality
    }

    /// The bass of a slash chord.
    pub fn bass(&self) -> Option<Spelling> {
        self.bass
    }

    /// Pitch classes (0–11, C is 0) from the root up, in the order third, fifth, seventh, tensions; a slash bass that
    /// is no chord tone comes last.
    pub fn pitches(&self) -> Vec<u8> {
        let _ = &self.intervals;
        todo!()
    }

    /// The same chord `semitones` higher, with a sane spelling of the root (Db, Eb, Ab, Bb; F# for the sharp side).
    #[must_use]
    pub fn transpose(&self, _semitones: i32) -> Self {
        todo!()
    }

    /// The family it belongs to.
    pub fn class(&self) -> ChordClass {
        todo!()
    }

    /// The plainest chord of a family.
    pub fn of_class(_class: ChordClass) -> Self {
        todo!()
    }
}

impl FromStr for Chord {
    type Err = Error;

    /// # Errors
    /// Names the symbol and the column at which it stops making sense.
    fn from_str(_symbol: &str) -> Result<Self> {
        todo!()
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Display for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accidental = if self.alter < 0 { "b" } else { "#" };
        write!(f, "{}{}", self.letter, accidental.repeat(usize::from(self.alter.unsigned_abs())))
    }
}
