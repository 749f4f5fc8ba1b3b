//! The encodings there are: the one place that lists them.

use crate::error::{Error, Result};
use crate::harmony::{ChordAt, ChordClass};
use crate::midi::Score;
use crate::tokens::grammar::Rules;
use crate::tokens::performance::Performance;
use crate::tokens::{Options, Vocabulary};

/// An encoding with its options.
#[derive(Debug, Clone)]
pub(super) enum Scheme {
    Performance(Performance),
}

impl Scheme {
    pub(super) fn new(name: &str, options: &Options) -> Result<Self> {
        match name {
            "performance" => Ok(Self::Performance(Performance { chords: options.chords.unwrap_or(true) })),
            _ => Err(Error::unknown("tokenizer", name, &super::Tokenizer::SCHEMES)),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Performance(_) => "performance",
        }
    }

    pub(super) fn options(&self) -> Options {
        match self {
            Self::Performance(p) => Options { chords: Some(p.chords) },
        }
    }

    pub(super) fn vocabulary(&self) -> Vocabulary {
        match self {
            Self::Performance(p) => p.vocabulary(),
        }
    }

    pub(super) fn encode(&self, score: &Score) -> Vec<u32> {
        match self {
            Self::Performance(p) => p.encode(score),
        }
    }

    pub(super) fn encode_with(&self, score: &Score, chords: &[ChordAt]) -> Vec<u32> {
        match self {
            Self::Performance(p) => p.encode_with(score, chords),
        }
    }

    pub(super) fn decode(&self, ids: &[u32]) -> Score {
        match self {
            Self::Performance(p) => p.decode(ids),
        }
    }

    pub(super) fn transpose(&self, ids: &[u32], semitones: i32) -> Option<Vec<u32>> {
        match self {
            Self::Performance(p) => p.transpose(ids, semitones),
        }
    }

    pub(super) fn pitch(&self, id: u32) -> Option<u8> {
        match self {
            Self::Performance(p) => p.pitch(id),
        }
    }

    pub(super) fn chord(&self, id: u32) -> Option<ChordClass> {
        match self {
            Self::Performance(p) => p.chord(id),
        }
    }

    pub(super) fn chord_id(&self, class: ChordClass) -> Option<u32> {
        match self {
            Self::Performance(p) => p.chord_id(class),
        }
    }

    pub(super) fn gloss(&self, id: u32) -> String {
        match self {
            Self::Performance(p) => p.gloss(id),
        }
    }

    pub(super) fn rules(&self) -> Rules {
        match self {
            Self::Performance(p) => Rules::Performance(p.rules()),
        }
    }
}
