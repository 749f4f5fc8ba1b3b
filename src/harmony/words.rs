//! The words of chord symbols: "maj", "sus", "Δ" and their like.

/// All words, the longer before those they begin with; `madd` keeps "madd9" from being read as "ma".
pub(super) const WORDS: [(&str, Word); 38] = [
    ("major", Word::Major),
    ("Major", Word::Major),
    ("maj", Word::Major),
    ("Maj", Word::Major),
    ("MAJ", Word::Major),
    ("madd", Word::MinorAdd),
    ("ma", Word::Major),
    ("Ma", Word::Major),
    ("MA", Word::Major),
    ("M", Word::Major),
    ("j", Word::Major),
    ("J", Word::Major),
    ("△", Word::MajorSeven),
    ("Δ", Word::MajorSeven),
    ("∆", Word::MajorSeven),
    ("minor", Word::Minor),
    ("min", Word::Minor),
    ("Min", Word::Minor),
    ("MIN", Word::Minor),
    ("mi", Word::Minor),
    ("m", Word::Minor),
    ("dim", Word::Diminished),
    ("Dim", Word::Diminished),
    ("°", Word::Diminished),
    ("º", Word::Diminished),
    ("omit", Word::LeaveOut),
    ("o", Word::Diminished),
    ("hdim", Word::HalfDiminished),
    ("ø", Word::HalfDiminished),
    ("Ø", Word::HalfDiminished),
    ("augmented", Word::Augmented),
    ("aug", Word::Augmented),
    ("Aug", Word::Augmented),
    ("dom", Word::Dominant),
    ("sus", Word::Suspended),
    ("alt", Word::Altered),
    ("add", Word::Add),
    ("no", Word::LeaveOut),
];

/// What a word says of a chord.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Word {
    /// A seventh will be major.
    Major,
    /// There is a major seventh.
    MajorSeven,
    Minor,
    /// Minor, and then what `add` says.
    MinorAdd,
    Diminished,
    HalfDiminished,
    Augmented,
    /// Nothing: the seventh is minor unless said otherwise.
    Dominant,
    /// The third gives way to a fourth, or to what the numbers behind it say.
    Suspended,
    /// A dominant with all its altered tensions.
    Altered,
    /// The number behind it is added, and nothing with it.
    Add,
    /// The number behind it is left out.
    LeaveOut,
}
