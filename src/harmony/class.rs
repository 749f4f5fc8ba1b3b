//! The coarse view of a chord that models are conditioned on: a root and one of fourteen qualities.

/// The families of chords a model tells apart; every symbol falls into one.
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
