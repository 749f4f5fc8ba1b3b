//! The words of chord symbols: "maj", "sus", "Δ" and others.

/// All words, the longer before those they begin with; `madd` keeps "madd9" from being read as "ma". Words of three
/// letters and more are read in any case; look-alikes of signs have become one before.
pub(super) const WORDS: [(&str, Word); 32] = [
    ("major", Word::Major),
    ("maj", Word::Major),
    ("madd", Word::MinorAdd),
    ("ma", Word::Major),
    ("Ma", Word::Major),
    ("MA", Word::Major),
    ("minor", Word::Minor),
    ("min", Word::Minor),
    ("Mi", Word::Minor),
    ("MI", Word::Minor),
    ("mi", Word::Minor),
    ("M", Word::Major),
    ("j", Word::Major),
    ("J", Word::Major),
    ("Δ", Word::MajorSeven),
    ("m", Word::Minor),
    ("dim", Word::Diminished),
    ("°", Word::Diminished),
    ("omit", Word::LeaveOut),
    ("o", Word::Diminished),
    ("hdim", Word::HalfDiminished),
    ("h", Word::HalfDiminished),
    ("ø", Word::HalfDiminished),
    ("augmented", Word::Augmented),
    ("aug", Word::Augmented),
    ("dom", Word::Dominant),
    ("sus", Word::Suspended),
    ("alt", Word::Altered),
    ("add", Word::Add),
    ("no", Word::LeaveOut),
    ("flat", Word::Flat),
    ("sharp", Word::Sharp),
];

/// The meaning of a word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Word {
    /// A seventh will be major.
    Major,
    /// There is a major seventh.
    MajorSeven,
    Minor,
    /// Minor, with an addition.
    MinorAdd,
    Diminished,
    HalfDiminished,
    Augmented,
    /// No effect: the seventh is minor unless a major one is written.
    Dominant,
    /// The third is replaced by a fourth, or by the numbers behind it.
    Suspended,
    /// A dominant with all its altered tensions.
    Altered,
    /// The number behind it is added, and nothing with it.
    Add,
    /// The number behind it is left out.
    LeaveOut,
    /// The number behind it is lowered.
    Flat,
    /// The number behind it is raised.
    Sharp,
}
