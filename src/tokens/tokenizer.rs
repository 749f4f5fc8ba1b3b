//! The tokenizer: one of several encodings behind one face.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::harmony::{ChordAt, ChordClass};
use crate::midi::Score;
use crate::tokens::{Grammar, Kind, Vocabulary};

/// What a caller may choose about an encoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Options {}

/// Turns scores into ids and back.
#[derive(Debug, Clone)]
pub struct Tokenizer {}

impl Tokenizer {
    /// The names [`Tokenizer::new`] knows.
    pub const SCHEMES: [&'static str; 4] = ["performance", "remi", "tsd", "midi_like"];

    /// A tokenizer by name.
    ///
    /// # Errors
    /// An unknown name is refused with the nearest known one.
    pub fn new(_scheme: &str, _options: &Options) -> Result<Self> {
        todo!()
    }

    /// Reads a `tokenizer.json` in MidiTok's layout.
    ///
    /// # Errors
    /// Names the file and the key that is missing or wrong.
    pub fn load(_path: impl AsRef<Path>) -> Result<Self> {
        todo!()
    }

    /// Writes a `tokenizer.json` in MidiTok's layout, atomically.
    ///
    /// # Errors
    /// Names the path when the file system refuses.
    pub fn save(&self, _path: impl AsRef<Path>) -> Result<()> {
        todo!()
    }

    /// The same as [`Tokenizer::save`] without a file.
    pub fn to_json(&self) -> String {
        todo!()
    }

    /// The same as [`Tokenizer::load`] without a file.
    ///
    /// # Errors
    /// Names the key that is missing or wrong.
    pub fn from_json(_json: &str) -> Result<Self> {
        todo!()
    }

    /// The name of the encoding.
    pub fn scheme(&self) -> &str {
        todo!()
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        todo!()
    }

    /// The number of ids.
    pub fn vocab_size(&self) -> usize {
        todo!()
    }

    /// The ids of a score, without BOS and EOS; chord markers in the score become chord tokens.
    pub fn encode(&self, _score: &Score) -> Vec<u32> {
        todo!()
    }

    /// The ids of a score with these chords in place of its markers.
    pub fn encode_with(&self, _score: &Score, _chords: &[ChordAt]) -> Vec<u32> {
        todo!()
    }

    /// The score of any ids at all: what makes no sense is left out, what is open at the end is closed.
    pub fn decode(&self, _ids: &[u32]) -> Score {
        todo!()
    }

    /// The name of an id.
    ///
    /// # Errors
    /// Names the id and the size of the vocabulary.
    pub fn token(&self, _id: u32) -> Result<&str> {
        todo!()
    }

    /// The id of a name.
    ///
    /// # Errors
    /// An unknown name is refused with the nearest known one.
    pub fn id(&self, _token: &str) -> Result<u32> {
        todo!()
    }

    /// What an id is about; [`Kind::Other`] for ids beyond the vocabulary.
    pub fn kind(&self, _id: u32) -> Kind {
        todo!()
    }

    /// The key number (0–127) of a [`Kind::Note`] token.
    pub fn pitch(&self, _id: u32) -> Option<u8> {
        todo!()
    }

    /// The chord of a [`Kind::Chord`] token.
    pub fn chord(&self, _id: u32) -> Option<ChordClass> {
        todo!()
    }

    /// The token of a chord, when the vocabulary has chords.
    pub fn chord_id(&self, _class: ChordClass) -> Option<u32> {
        todo!()
    }

    /// The padding token.
    pub fn pad(&self) -> u32 {
        0
    }

    /// The token that begins a piece.
    pub fn bos(&self) -> u32 {
        1
    }

    /// The token that ends a piece.
    pub fn eos(&self) -> u32 {
        2
    }

    /// The grammar in its first state: nothing has been said but BOS.
    pub fn grammar(&self) -> Grammar {
        todo!()
    }

    /// The ids in words, one event a line, with the time each happens.
    pub fn show(&self, _ids: &[u32]) -> String {
        todo!()
    }
}
