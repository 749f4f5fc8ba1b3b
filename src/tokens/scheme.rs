//! `Scheme`: dispatch over all encodings; the only list of them.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::harmony::ChordAt;
use crate::midi::Score;
use crate::tokens::automaton::Automaton;
use crate::tokens::bpe_words::{WordSplit, Words};
use crate::tokens::miditok::{self, BeatScheme, MidiTok};
use crate::tokens::note_duration::{self, NoteDuration};
use crate::tokens::performance::Performance;
use crate::tokens::{Options, Vocabulary};

/// An encoding with its options.
#[derive(Debug, Clone)]
pub(super) enum Scheme {
    Performance(Performance),
    NoteDuration(NoteDuration),
    MidiTok(Arc<MidiTok>),
}

impl Scheme {
    /// The names that [`Scheme::new`] accepts.
    pub(super) const NAMES: [&'static str; 5] = ["performance", "note_duration", "remi", "tsd", "midi_like"];

    pub(super) fn new(name: &str, options: &Options) -> Result<Self> {
        if name == "performance" {
            options.only(name, &["chords"])?;
            return Ok(Self::Performance(Performance { chords: options.chords.unwrap_or(true) }));
        }
        if name == "note_duration" {
            options.only(name, &note_duration::KEYS)?;
            return Ok(Self::NoteDuration(NoteDuration::new(options)?));
        }
        match BeatScheme::ALL.into_iter().find(|style| style.name() == name) {
            Some(style) => {
                options.only(name, &miditok::KEYS)?;
                Ok(Self::MidiTok(Arc::new(MidiTok::new(style, miditok::Config::new(options)?))))
            }
            None => Err(Error::unknown("tokenizer", name, &Self::NAMES)),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Performance(_) => "performance",
            Self::NoteDuration(_) => "note_duration",
            Self::MidiTok(m) => m.style().name(),
        }
    }

    pub(super) fn vocabulary(&self) -> Vocabulary {
        match self {
            Self::Performance(p) => p.vocabulary(),
            Self::NoteDuration(n) => n.vocabulary(),
            Self::MidiTok(m) => m.vocabulary(),
        }
    }

    pub(super) fn encode(&self, score: &Score) -> Vec<u32> {
        match self {
            Self::Performance(p) => p.encode(score),
            Self::NoteDuration(n) => n.encode(score),
            Self::MidiTok(m) => m.encode(score),
        }
    }

    pub(super) fn encode_with(&self, score: &Score, chords: &[ChordAt]) -> Vec<u32> {
        match self {
            Self::Performance(p) => p.encode_with(score, chords),
            Self::NoteDuration(n) => n.encode_with(score, chords),
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
            Self::NoteDuration(n) => n.words(match chords {
                Some(chords) => n.encode_with(score, chords),
                None => n.encode(score),
            }),
            Self::MidiTok(m) => m.words(score),
        }
    }

    /// Whether byte-pair encoding splits sequences into words.
    pub(super) fn marks_words(&self) -> bool {
        match self {
            Self::Performance(_) | Self::NoteDuration(_) => true,
            Self::MidiTok(m) => m.config().split() != WordSplit::No,
        }
    }

    pub(super) fn decode(&self, ids: &[u32]) -> Score {
        match self {
            Self::Performance(p) => p.decode(ids),
            Self::NoteDuration(n) => n.decode(ids),
            Self::MidiTok(m) => m.decode(ids),
        }
    }

    pub(super) fn transpose(&self, ids: &[u32], semitones: i32) -> Option<Vec<u32>> {
        match self {
            Self::Performance(p) => p.transpose(ids, semitones),
            Self::NoteDuration(n) => n.transpose(ids, semitones),
            Self::MidiTok(m) => m.transpose(ids, semitones),
        }
    }

    pub(super) fn pitch(&self, id: u32) -> Option<u8> {
        match self {
            Self::Performance(p) => p.pitch(id),
            Self::NoteDuration(n) => n.pitch(id),
            Self::MidiTok(m) => m.pitch(id),
        }
    }

    /// The pitch class of a note token; above the root of the chord in force where pitches are relative to it.
    pub(super) fn pitch_class(&self, id: u32) -> Option<u8> {
        match self {
            Self::NoteDuration(n) => n.pitch_class(id),
            _ => self.pitch(id).map(|pitch| pitch % 12),
        }
    }

    /// The tones of the chord in force after a token, in the frame of [`Scheme::pitch_class`], a bit for each pitch
    /// class and none without a chord; `None` when the token changes no chord. `root` is state that the caller keeps
    /// between calls.
    pub(super) fn chord_tones(&self, id: u32, root: &mut u8) -> Option<u16> {
        match self {
            Self::Performance(p) => p.chord_tones(id),
            Self::NoteDuration(n) => n.chord_tones(id, root),
            Self::MidiTok(_) => None,
        }
    }

    pub(super) fn width(&self, id: u32) -> u32 {
        match self {
            Self::NoteDuration(n) => n.width(id),
            _ => 1,
        }
    }

    pub(super) fn has_chords(&self) -> bool {
        match self {
            Self::Performance(p) => p.chords,
            Self::NoteDuration(n) => n.chords,
            Self::MidiTok(_) => false,
        }
    }

    pub(super) fn style_id(&self, name: &str) -> Result<u32> {
        match self {
            Self::NoteDuration(n) => n.style_id(name),
            _ => Err(Error::mistake(format!("the {} tokenizer has no token for the style '{name}'", self.name()))
                .with_hint("the encoding \"note_duration\" has styles")),
        }
    }

    pub(super) fn tempo_id(&self, beats_per_minute: f64) -> Option<u32> {
        match self {
            Self::NoteDuration(n) => n.tempo_id(beats_per_minute),
            _ => None,
        }
    }

    pub(super) fn beat_id(&self, bar: bool) -> Option<u32> {
        match self {
            Self::NoteDuration(n) => n.beat_id(bar),
            _ => None,
        }
    }

    /// The steps of 10 ms that a token lets pass, if it does nothing else.
    pub(super) fn shift_steps(&self, id: u32) -> Option<u32> {
        match self {
            Self::Performance(p) => p.shift_steps(id),
            Self::NoteDuration(n) => n.shift_steps(id),
            Self::MidiTok(_) => None,
        }
    }

    /// The ids of time shifts; none for encodings that count time otherwise.
    pub(super) fn shift_ids(&self, shifts: impl Iterator<Item = u32>) -> Vec<u32> {
        match self {
            Self::Performance(p) => shifts.map(|steps| p.shift(steps)).collect(),
            Self::NoteDuration(n) => shifts.map(|steps| n.shift(steps)).collect(),
            Self::MidiTok(_) => Vec::new(),
        }
    }

    /// Whether pitches are counted from the chord in force.
    pub(super) fn counts_from_chords(&self) -> bool {
        matches!(self, Self::NoteDuration(n) if n.chord_relative)
    }

    /// Seconds at which each id happens (for encodings in beats: at 120 beats per minute).
    pub(super) fn moments(&self, ids: &[u32]) -> Vec<f64> {
        match self {
            Self::Performance(p) => p.moments(ids),
            Self::NoteDuration(n) => n.moments(ids),
            Self::MidiTok(m) => m.moments(ids),
        }
    }

    /// A description of a token for display, where its name is not enough.
    pub(super) fn gloss(&self, id: u32) -> String {
        match self {
            Self::Performance(p) => p.gloss(id),
            Self::NoteDuration(n) => n.gloss(id),
            Self::MidiTok(m) => m.gloss(id),
        }
    }

    pub(super) fn automaton(&self) -> Automaton {
        match self {
            Self::Performance(p) => Automaton::Performance(p.rules()),
            Self::NoteDuration(n) => Automaton::NoteDuration(Box::new(n.rules())),
            Self::MidiTok(m) => Automaton::MidiTok(miditok::MidiTokRules::new(m)),
        }
    }
}
