//! Tokenizers: encodings of scores, their vocabularies and grammars.

mod automaton;
mod bpe;
mod bpe_words;
mod chords;
mod grammar;
mod miditok;
mod note_duration;
mod options;
mod pair;
mod performance;
mod pitches;
mod scheme;
mod timed;
mod tokenizer;
mod tokenizer_file;
mod vocabulary;

pub use grammar::Grammar;
pub use options::Options;
pub use pair::SourceAndTarget;
pub(crate) use timed::AnnouncedClick;
pub use tokenizer::Tokenizer;
pub use vocabulary::{TokenKind, Vocabulary};
