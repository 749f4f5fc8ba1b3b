//! Chord symbols: parsed from the spellings of lead sheets, printed, transposed, spelled out as pitches.

use std::fmt;
use std::str::FromStr;

use super::symbol;
use crate::error::{Error, Result};
use crate::harmony::{ChordClass, Quality, Spelling};

/// A chord: a root, a quality as it was written, an optional bass; or "N.C.".
///
/// ```
/// use etude::harmony::Chord;
///
/// let chord: Chord = "Cmaj7/E".parse()?;
/// assert_eq!(chord.pitches(), [0, 4, 7, 11]);
/// assert_eq!(chord.transpose(2).name(), "Dmaj7/F#");
/// assert_eq!("G79b13".parse::<Chord>()?.pitches(), "G13b9".parse::<Chord>()?.pitches());
/// # Ok::<(), etude::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chord {
    root: Option<Spelling>,
    quality: String,
    bass: Option<Spelling>,
    intervals: Vec<u8>,
}

impl Chord {
    /// "N.C.": no chord.
    ///
    /// ```
    /// # use etude::harmony::Chord;
    /// assert!(Chord::none().pitches().is_empty());
    /// ```
    pub fn none() -> Self {
        Self { root: None, quality: String::new(), bass: None, intervals: Vec::new() }
    }

    /// The symbol: "F#m7b5", "B7b9/D#", "N.C.".
    ///
    /// ```
    /// use etude::harmony::Chord;
    ///
    /// let chord: Chord = "F#m7b5/E".parse()?;
    /// assert_eq!(chord.name(), "F#m7b5/E");
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn name(&self) -> String {
        match (self.root, self.bass) {
            (None, _) => "N.C.".into(),
            (Some(root), None) => format!("{root}{}", self.quality),
            (Some(root), Some(bass)) => format!("{root}{}/{bass}", self.quality),
        }
    }

    /// The root, unless there is no chord.
    pub fn root(&self) -> Option<Spelling> {
        self.root
    }

    /// What follows the root, as it was written: "m7b5".
    ///
    /// ```
    /// # use etude::harmony::Chord;
    /// let chord: Chord = "Dm7".parse()?;
    /// assert_eq!(chord.quality(), "m7");
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn quality(&self) -> &str {
        &self.quality
    }

    /// The bass of a slash chord.
    pub fn bass(&self) -> Option<Spelling> {
        self.bass
    }

    /// Semitones above the root, tensions above the octave: a ninth is 14. In the order root, third, fifth, seventh,
    /// tensions.
    ///
    /// ```
    /// # use etude::harmony::Chord;
    /// let chord: Chord = "Dm7".parse()?;
    /// assert_eq!(chord.intervals(), [0, 3, 7, 10]);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn intervals(&self) -> &[u8] {
        &self.intervals
    }

    /// Pitch classes (0–11, C is 0) from the root up, in the order third, fifth, seventh, tensions; a slash bass that
    /// is not a chord tone comes last.
    ///
    /// ```
    /// use etude::harmony::Chord;
    ///
    /// let chord: Chord = "Cmaj7".parse()?;
    /// let classes: Vec<u8> = chord.pitches().iter().map(|pitch| pitch % 12).collect();
    /// assert_eq!(classes, [0, 4, 7, 11]);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn pitches(&self) -> Vec<u8> {
        let Some(root) = self.root else { return Vec::new() };
        let mut pitches: Vec<u8> = self.intervals.iter().map(|i| (root.pitch_class() + i) % 12).collect();
        let bass = self.bass.map(|b| b.pitch_class()).filter(|b| !pitches.contains(b));
        pitches.extend(bass);
        pitches
    }

    /// The same chord `semitones` higher, with the usual spelling of the root (Db, Eb, Ab, Bb; F# for the sharp side).
    ///
    /// ```
    /// # use etude::harmony::Chord;
    /// let chord: Chord = "Dm7".parse()?;
    /// assert_eq!(chord.transpose(2).name(), "Em7");
    /// # Ok::<(), etude::Error>(())
    /// ```
    #[must_use]
    pub fn transpose(&self, semitones: i32) -> Self {
        let Some(root) = self.root else { return self.clone() };
        let moved = root.transpose(semitones);
        let bass = self.bass.map(|b| b.follow(root, moved, semitones));
        Self { root: Some(moved), bass, ..self.clone() }
    }

    /// The same chord over another bass; `None` or the root itself leave the plain chord.
    ///
    /// ```
    /// use etude::harmony::Chord;
    ///
    /// assert_eq!("C".parse::<Chord>()?.over(Some(4)).name(), "C/E");
    /// # Ok::<(), etude::Error>(())
    /// ```
    #[must_use]
    pub fn over(&self, bass: Option<u8>) -> Self {
        let root = self.root.map(|r| r.pitch_class());
        let bass = bass.filter(|b| root.is_some() && root != Some(*b)).map(Spelling::of_pitch_class);
        Self { bass, ..self.clone() }
    }

    /// The family it belongs to.
    ///
    /// ```
    /// use etude::harmony::{Chord, ChordClass, Quality};
    ///
    /// let class = "Dm9".parse::<Chord>()?.class();
    /// assert_eq!(class, ChordClass::Some { root: 2, quality: Quality::MinorSeven });
    /// assert_eq!(Chord::of_class(class).name(), "Dm7");
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn class(&self) -> ChordClass {
        match self.root {
            None => ChordClass::None,
            Some(root) => {
                ChordClass::Some { root: root.pitch_class(), quality: Quality::of_intervals(&self.intervals) }
            }
        }
    }

    /// The plain chord of a class.
    pub fn of_class(class: ChordClass) -> Self {
        match class {
            ChordClass::None => Self::none(),
            ChordClass::Some { root, quality } => Self::on(root, quality.suffix()),
        }
    }

    /// A chord by the pitch class of its root and a suffix this crate itself writes.
    pub(super) fn on(root: u8, suffix: &str) -> Self {
        let written: Vec<char> = suffix.chars().collect();
        let intervals = symbol::intervals(&written).expect("the suffixes of this crate are symbols");
        Self { root: Some(Spelling::of_pitch_class(root)), quality: suffix.into(), bass: None, intervals }
    }

    /// Reads a symbol. The error is the index of the first character that cannot be read.
    pub(super) fn read(symbol: &[char]) -> Result<Self, usize> {
        let text: String = symbol.iter().filter(|c| **c != '.').collect();
        if matches!(text.as_str(), "NC" | "N" | "nc" | "Nc") {
            return Ok(Self::none());
        }
        let (root, length) = Spelling::read(symbol).ok_or(0usize)?;
        let (bass, end) = slash_bass(symbol);
        let written = symbol.get(length..end).unwrap_or_default();
        let intervals = symbol::intervals(written).map_err(|at| at + length)?;
        Ok(Self { root: Some(root), quality: written.iter().collect(), bass, intervals })
    }

    /// Why a symbol cannot be read: `at` is the index from [`Chord::read`], `place` its place in the text.
    pub(super) fn refusal(symbol: &[char], at: usize, place: &str) -> Error {
        let shown: String = symbol.iter().collect();
        let what = match symbol.get(at) {
            Some(c) if at > 0 => format!("'{c}' makes no sense there"),
            Some(c) => format!("no root is called '{c}'"),
            None => "it ends too early".into(),
        };
        let hint = match symbol.first() {
            Some('H' | 'h') => "roots are C D E F G A B: the German H is B, the German B is Bb",
            Some('A'..='G') if german(symbol) => "sharps and flats are # and b behind the root: Cis is C#, Es is Eb",
            _ if at == 0 => "roots are C D E F G A B in capitals, with # or b behind; no chord is N.C.",
            _ => "write it like Cmaj7, Cm7, C7, Cm7b5, Cdim7, C7b9, C13, C9sus4, C6/9 or C/E",
        };
        Error::mistake(format!("cannot read the chord '{shown}' ({place}): {what}")).with_hint(hint)
    }
}

/// Whether a symbol begins with a German name of a sharp or a flat: Cis, Des, As.
fn german(symbol: &[char]) -> bool {
    let text: String = symbol.iter().take(3).collect();
    matches!(text.get(1..3), Some("is" | "es")) || (matches!(text.get(..2), Some("Es" | "As")) && !text.ends_with("su"))
}

/// The bass after the last slash and the index of that slash; `C6/9` has none.
fn slash_bass(symbol: &[char]) -> (Option<Spelling>, usize) {
    let slash = symbol.iter().rposition(|c| matches!(symbol::plain(*c), '/' | '\\'));
    let bass = slash.and_then(|at| {
        let rest = &symbol[at + 1..];
        Spelling::read(rest).filter(|(_, length)| *length == rest.len()).map(|(bass, _)| (Some(bass), at))
    });
    bass.unwrap_or((None, symbol.len()))
}

impl FromStr for Chord {
    type Err = Error;

    /// # Errors
    /// Names the symbol and the column of the first character that cannot be read.
    fn from_str(symbol: &str) -> Result<Self> {
        let symbol: Vec<char> = symbol.trim().chars().collect();
        Self::read(&symbol).map_err(|at| Self::refusal(&symbol, at, &format!("column {}", at + 1)))
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chord(symbol: &str) -> Chord {
        symbol.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn a_symbol_prints_as_it_was_written() {
        for symbol in ["Cmaj7", "F#m7b5", "B7b9/D#", "Bb-7", "C6/9", "C7(b9,#11)", "EbΔ7", "Db79b13/F", "C", "G/B"] {
            assert_eq!(chord(symbol).name(), symbol);
        }
        for symbol in ["NC", "N.C.", "N.C", "N"] {
            assert_eq!(chord(symbol).name(), "N.C.");
            assert!(chord(symbol).pitches().is_empty());
        }
        assert_eq!(chord("B♭maj7").name(), "Bbmaj7");
    }

    #[test]
    fn pitches_go_from_the_root_up() {
        assert_eq!(chord("G7").pitches(), [7, 11, 2, 5]);
        assert_eq!(chord("C/E").pitches(), [0, 4, 7]);
        assert_eq!(chord("C/D").pitches(), [0, 4, 7, 2]);
        assert_eq!(chord("C6/9/E").bass().map(|b| b.to_string()).as_deref(), Some("E"));
        assert_eq!(chord("Cb").root().map(|r| r.pitch_class()), Some(11));
    }

    #[test]
    fn transposition_renames_root_and_bass() {
        assert_eq!(chord("Cmaj7").transpose(2).name(), "Dmaj7");
        assert_eq!(chord("B7b9/D#").transpose(1).name(), "C7b9/E");
        assert_eq!(chord("C#m7").transpose(12).name(), "C#m7");
        assert_eq!(chord("N.C.").transpose(3), Chord::none());
        let around: Vec<String> = (0..12).map(|n| chord("C7").transpose(n).name()).collect();
        assert_eq!(around.join(" "), "C7 Db7 D7 Eb7 E7 F7 F#7 G7 Ab7 A7 Bb7 B7");
        assert_eq!(chord("C").transpose(-1).name(), "B");
    }

    #[test]
    fn a_class_names_its_plainest_chord() {
        for root in 0..12 {
            for quality in Quality::ALL {
                let class = ChordClass::Some { root, quality };
                assert_eq!(Chord::of_class(class).class(), class);
            }
        }
        assert_eq!(Chord::of_class(ChordClass::None).class(), ChordClass::None);
    }

    #[test]
    fn a_wrong_symbol_is_named_with_its_column() {
        let error = "Cm7x".parse::<Chord>().expect_err("no such chord");
        assert_eq!(error.message(), "cannot read the chord 'Cm7x' (column 4): 'x' makes no sense there");
        let error = "Hm7".parse::<Chord>().expect_err("no such root");
        assert!(error.hint().is_some_and(|h| h.contains("German")), "{error}");
        for german in ["Cis7", "Es7", "As", "Des/F"] {
            let error = german.parse::<Chord>().expect_err("a German name");
            assert!(error.hint().is_some_and(|h| h.contains("Cis is C#")), "{error}");
        }
        assert!("Esus".parse::<Chord>().is_ok() && "Asus4".parse::<Chord>().is_ok());
        assert!("".parse::<Chord>().is_err());
        assert!("C/H".parse::<Chord>().is_err());
    }
}
