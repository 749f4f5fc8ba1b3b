//! The encodings there are: the one place that lists them.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::harmony::{ChordAt, ChordClass};
use crate::midi::Score;
use crate::tokens::automaton::Automaton;
use crate::tokens::miditok::{self, MidiTok, Style};
use crate::tokens::performance::Performance;
use crate::tokens::words::{Split, Words};
use crate::tokens::{Options, Tokenizer, Vocabulary};

/// An encoding with its options.
#[derive(Debug, Clone)]
pub(super) enum Scheme {
    Performance(Performance),
    MidiTok(Arc<MidiTok>),
}

impl Scheme {
    pub(super) fn new(name: &str, options: &Options) -> Result<Self> {
        if name == "performance" {
            options.only(name, &["chords"])?;
            return Ok(Self::Performance(Performance { chords: options.chords.unwrap_or(true) }));
        }
        match Style::ALL.into_iter().find(|style| style.name() == name) {
            Some(style) => {
                options.only(name, &miditok::KEYS)?;
                Ok(Self::MidiTok(Arc::new(MidiTok::new(style, miditok::Config::new(options)?))))
            }
            None => Err(Error::unknown("tokenizer", name, &Tokenizer::SCHEMES)),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Performance(_) => "performance",
            Self::MidiTok(m) => m.style().name(),
        }
    }

    pub(super) fn vocabulary(&self) -> Vocabulary {
        match self {
            Self::Performance(p) => p.vocabulary(),
            Self::MidiTok(m) => m.vocabulary(),
        }
    }

    pub(super) fn encode(&self, score: &Score) -> Vec<u32> {
        match self {
            Self::Performance(p) => p.encode(score),
            Self::MidiTok(m) => m.encode(score),
        }
    }

    pub(super) fn encode_with(&self, score: &Score, chords: &[ChordAt]) -> Vec<u32> {
        match self {
            Self::Performance(p) => p.encode_with(score, chords),
            Self::MidiTok(m) => m.encode(score),
        }
    }

    /// The ids of a score in words, with these chords, or with the score's own.
    pub(super) fn words(&self, score: &Score, chords: Option<&[ChordAt]>) -> Words {
        match self {
            Self::Performance(p) => p.words(match chords {
                Some(chords) => p.encode_with(score, chords),
                None => p.encode(score),
            }),
            Self::MidiTok(m) => m.words(score),
        }
    }

    /// Whether byte-pair encoding cuts sequences into words.
    pub(super) fn marks_words(&self) -> bool {
        match self {
            Self::Performance(_) => true,
            Self::MidiTok(m) => m.config().split() != Split::No,
        }
    }

    pub(super) fn decode(&self, ids: &[u32]) -> Score {
        match self {
            Self::Performance(p) => p.decode(ids),
            Self::MidiTok(m) => m.decode(ids),
        }
    }

    pub(super) fn transpose(&self, ids: &[u32], semitones: i32) -> Option<Vec<u32>> {
        match self {
            Self::Performance(p) => p.transpose(ids, semitones),
            Self::MidiTok(m) => m.transpose(ids, semitones),
        }
    }

    pub(super) fn pitch(&self, id: u32) -> Option<u8> {
        match self {
            Self::Performance(p) => p.pitch(id),
            Self::MidiTok(m) => m.pitch(id),
        }
    }

    pub(super) fn chord(&self, id: u32) -> Option<ChordClass> {
        match self {
            Self::Performance(p) => p.chord(id),
            Self::MidiTok(_) => None,
        }
    }

    pub(super) fn chord_id(&self, class: ChordClass) -> Option<u32> {
        match self {
            Self::Performance(p) => p.chord_id(class),
            Self::MidiTok(_) => None,
        }
    }

    /// Seconds at which each id happens (for encodings in beats: at 120 beats per minute).
    pub(super) fn moments(&self, ids: &[u32]) -> Vec<f64> {
        match self {
            Self::Performance(p) => p.moments(ids),
            Self::MidiTok(m) => m.moments(ids),
        }
    }

    /// What a token says, for people, where its name does not.
    pub(super) fn gloss(&self, id: u32) -> String {
        match self {
            Self::Performance(p) => p.gloss(id),
            Self::MidiTok(m) => m.gloss(id),
        }
    }

    pub(super) fn automaton(&self) -> Automaton {
        match self {
            Self::Performance(p) => Automaton::Performance(p.rules()),
            Self::MidiTok(m) => Automaton::MidiTok(miditok::Rules::new(m)),
        }
    }
}
