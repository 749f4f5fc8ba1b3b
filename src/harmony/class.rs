//! The chord classes that models are conditioned on: a root and one of fourteen qualities.

/// The chord qualities of a model's vocabulary; every symbol belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quality {
    /// C E G
    Major,
    /// C E G A
    Six,
    /// C E G B (also 9, #11, 13 on it)
    MajorSeven,
    /// C E G Bb (also 9, 13)
    Seven,
    /// C E Bb with an altered fifth or ninth
    Altered,
    /// C F G Bb or C F G (sus4, 7sus4, 9sus4; sus2)
    Suspended,
    /// C Eb G
    Minor,
    /// C Eb G A
    MinorSix,
    /// C Eb G Bb (also 9, 11)
    MinorSeven,
    /// C Eb G B
    MinorMajor,
    /// C Eb Gb Bb
    HalfDiminished,
    /// C Eb Gb
    Diminished,
    /// C Eb Gb A
    DiminishedSeven,
    /// C E G#
    Augmented,
}

impl Quality {
    /// All of them, in the order of their chord tokens.
    pub const ALL: [Self; 14] = [
        Self::Major,
        Self::Six,
        Self::MajorSeven,
        Self::Seven,
        Self::Altered,
        Self::Suspended,
        Self::Minor,
        Self::MinorSix,
        Self::MinorSeven,
        Self::MinorMajor,
        Self::HalfDiminished,
        Self::Diminished,
        Self::DiminishedSeven,
        Self::Augmented,
    ];

    /// The plain suffix of a symbol of this quality: "maj7", "m7b5".
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Major => "",
            Self::Six => "6",
            Self::MajorSeven => "maj7",
            Self::Seven => "7",
            Self::Altered => "7alt",
            Self::Suspended => "7sus4",
            Self::Minor => "m",
            Self::MinorSix => "m6",
            Self::MinorSeven => "m7",
            Self::MinorMajor => "mMaj7",
            Self::HalfDiminished => "m7b5",
            Self::Diminished => "dim",
            Self::DiminishedSeven => "dim7",
            Self::Augmented => "aug",
        }
    }

    /// The family of a chord, from its intervals in semitones above the root.
    ///
    /// ```
    /// use etude::harmony::Quality;
    ///
    /// assert_eq!(Quality::of_intervals(&[0, 3, 6, 10]), Quality::HalfDiminished);
    /// assert_eq!(Quality::HalfDiminished.suffix(), "m7b5");
    /// ```
    pub fn of_intervals(intervals: &[u8]) -> Self {
        let tones = intervals.iter().fold(0u16, |set, i| set | 1 << (i % 12));
        let has = |tone: u8| tones & 1 << tone != 0;
        // Only tensions reach the octave: a #11 is 18, a b5 is 6.
        let within = |tone: u8| intervals.contains(&tone);
        if has(4) {
            Self::of_major_third(&has, &within)
        } else if has(3) && !(has(2) && within(2)) {
            match () {
                () if within(6) && has(10) => Self::HalfDiminished,
                () if within(6) && has(9) => Self::DiminishedSeven,
                () if within(6) => Self::Diminished,
                () if has(11) => Self::MinorMajor,
                () if has(10) => Self::MinorSeven,
                () if within(9) => Self::MinorSix,
                () => Self::Minor,
            }
        } else if within(5) || within(2) || ((within(6) || within(1)) && has(7)) {
            Self::Suspended
        } else if has(10) {
            Self::Seven
        } else {
            Self::Major
        }
    }

    fn of_major_third(has: &impl Fn(u8) -> bool, within: &impl Fn(u8) -> bool) -> Self {
        let altered = within(6) || within(8) || within(13) || within(15) || within(20);
        match () {
            () if has(11) => Self::MajorSeven,
            () if has(10) && altered => Self::Altered,
            () if has(10) => Self::Seven,
            () if within(9) => Self::Six,
            () if within(8) => Self::Augmented,
            () => Self::Major,
        }
    }
}

/// A root (pitch class 0–11, C is 0) and a quality, or no chord at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChordClass {
    /// "N.C."
    None,
    /// A chord.
    Some {
        /// Pitch class of the root.
        root: u8,
        /// Its family.
        quality: Quality,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harmony::Chord;

    #[test]
    fn every_symbol_falls_into_its_family() {
        let families = [
            (Quality::Major, "C Cadd9 C5 C(#11) Cb5 C2"),
            (Quality::Six, "C6 C69 C6/9 C6911#"),
            (Quality::MajorSeven, "Cmaj7 Cj7911# C+j7 Cmaj9 CΔ"),
            (Quality::Seven, "C7 C13 C7#11 C9 C7913 C11 C7no3"),
            (Quality::Altered, "C7alt C7b9 C79b13 C+7 C7#5 C7b5 C7#9 C13b9 C7b13 C(b9)"),
            (Quality::Suspended, "Csus Csus2 C7sus4 C9sus4 Csus7913 Csus4(add7)"),
            (Quality::Minor, "Cm C- Cmadd9 Cm#5"),
            (Quality::MinorSix, "Cm6 C-69"),
            (Quality::MinorSeven, "Cm7 C-7911 Cm11 Cm9"),
            (Quality::MinorMajor, "CmMaj7 C-j7 C-j7913"),
            (Quality::HalfDiminished, "Cm7b5 Cø Cm9b5"),
            (Quality::Diminished, "Cdim Co C°"),
            (Quality::DiminishedSeven, "Cdim7 Co7"),
            (Quality::Augmented, "C+ Caug"),
        ];
        for (quality, symbols) in families {
            for symbol in symbols.split(' ') {
                let chord: Chord = symbol.parse().unwrap_or_else(|e| panic!("{e}"));
                let root = chord.root().map_or(0, |r| r.pitch_class());
                assert_eq!(chord.class(), ChordClass::Some { root, quality }, "{symbol}");
            }
        }
    }
}
