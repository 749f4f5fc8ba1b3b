//! A vocabulary: named blocks of tokens, one after the other.

/// What a token is about; metrics and masks ask this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// PAD, BOS, EOS, MASK.
    Special,
    /// A chord symbol: conditioning, given rather than predicted.
    Chord,
    /// A pitch begins.
    Note,
    /// A pitch ends.
    NoteOff,
    /// Loudness.
    Velocity,
    /// Time: shifts, positions, bars, durations, rests.
    Time,
    /// Anything else: tempo, metre, program, learned pairs.
    Other,
}

/// The names of all tokens; an id is an index.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    names: Vec<String>,
    kinds: Vec<Kind>,
}

impl Vocabulary {
    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True when there is no token.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of an id: "NoteOn_60".
    pub fn name(&self, id: u32) -> Option<&str> {
        self.names.get(id as usize).map(String::as_str)
    }

    /// What an id is about.
    pub fn kind(&self, id: u32) -> Option<Kind> {
        self.kinds.get(id as usize).copied()
    }
}
