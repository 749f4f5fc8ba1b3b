//! The tokens of the vocabulary and the layout of their ids.

use super::{BeatScheme, Config, Lengths};

/// A token; bins and lengths are indices of their tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Special(u8),
    Bar,
    /// `Pitch`, or `NoteOn` in MIDILike.
    Pitch(u8),
    NoteOff(u8),
    Velocity(u8),
    Duration(u16),
    Shift(u16),
    Position(u16),
    /// `PitchDrum`, or `DrumOn` in MIDILike.
    Drum(u8),
    DrumOff(u8),
    Tempo(u16),
    /// A voice: 0–127, or [`DRUMS`] for `Program_-1`.
    Program(u8),
    TimeSig(u8),
}

/// The voice of the drums; it comes after all programs.
pub(super) const DRUMS: u8 = 128;

/// The ids of a configuration: the token of each, and the first of each block.
#[derive(Debug, Clone)]
pub(super) struct MidiTokLayout {
    tokens: Vec<Token>,
    blocks: [TokenBlock; BLOCKS],
}

/// Ids `first .. first + count` for the values from `low` on.
#[derive(Debug, Clone, Copy, Default)]
struct TokenBlock {
    first: u32,
    count: u32,
    low: u32,
}

const BLOCKS: usize = 13;

impl Token {
    /// The index of the block and the value in it.
    fn place(self) -> (usize, u32) {
        match self {
            Self::Special(i) => (0, u32::from(i)),
            Self::Bar => (1, 0),
            Self::Pitch(pitch) => (2, u32::from(pitch)),
            Self::NoteOff(pitch) => (3, u32::from(pitch)),
            Self::Velocity(bin) => (4, u32::from(bin)),
            Self::Duration(length) => (5, u32::from(length)),
            Self::Shift(length) => (6, u32::from(length)),
            Self::Position(index) => (7, u32::from(index)),
            Self::Drum(pitch) => (8, u32::from(pitch)),
            Self::DrumOff(pitch) => (9, u32::from(pitch)),
            Self::Tempo(bin) => (10, u32::from(bin)),
            Self::Program(voice) => (11, u32::from(voice)),
            Self::TimeSig(index) => (12, u32::from(index)),
        }
    }
}

impl MidiTokLayout {
    /// The order is MidiTok's.
    pub(super) fn new(style: BeatScheme, config: &Config, lengths: &Lengths) -> Self {
        let mut layout = Self { tokens: Vec::new(), blocks: [TokenBlock::default(); BLOCKS] };
        let lengths = lengths.len() as u16;
        let pitches = config.pitch_range.0..=config.pitch_range.1;
        let drums = config.drums_pitch_range.0..=config.drums_pitch_range.1;
        layout.block((0..4).map(Token::Special));
        if style == BeatScheme::Remi {
            layout.block(std::iter::once(Token::Bar));
        }
        layout.block(pitches.clone().map(Token::Pitch));
        if style == BeatScheme::MidiLike {
            layout.block(pitches.map(Token::NoteOff));
        }
        if config.use_velocities {
            layout.block((0..config.num_velocities).map(Token::Velocity));
        }
        if style != BeatScheme::MidiLike {
            layout.block((0..lengths).map(Token::Duration));
        }
        if style == BeatScheme::Remi {
            let beats = config.time_signatures.iter().map(|&(numerator, _)| u32::from(numerator)).max().unwrap_or(4);
            layout.block((0..(config.positions() * beats) as u16).map(Token::Position));
        } else {
            layout.block((0..lengths).map(Token::Shift));
        }
        if config.use_pitchdrum_tokens {
            layout.block(drums.clone().map(Token::Drum));
            if style == BeatScheme::MidiLike {
                layout.block(drums.map(Token::DrumOff));
            }
        }
        if config.use_tempos {
            layout.block((0..config.num_tempos as u16).map(Token::Tempo));
        }
        if config.use_programs {
            layout.block((0..=DRUMS).map(Token::Program));
        }
        if config.use_time_signatures {
            layout.block((0..config.time_signatures.len() as u8).map(Token::TimeSig));
        }
        layout
    }

    fn block(&mut self, tokens: impl Iterator<Item = Token>) {
        let first = self.tokens.len();
        self.tokens.extend(tokens);
        if let Some(token) = self.tokens.get(first) {
            let (block, low) = token.place();
            let count = (self.tokens.len() - first) as u32;
            self.blocks[block] = TokenBlock { first: first as u32, count, low };
        }
    }

    /// All tokens in the order of their ids.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    pub(super) fn token(&self, id: u32) -> Option<Token> {
        self.tokens.get(id as usize).copied()
    }

    /// The id of a token, if the vocabulary has it.
    pub(super) fn id(&self, token: Token) -> Option<u32> {
        let (block, value) = token.place();
        let TokenBlock { first, count, low } = self.blocks[block];
        let index = value.checked_sub(low)?;
        (index < count).then_some(first + index)
    }
}
