//! Scores as numbers: encodings, their vocabularies, and the grammar of what may follow what.

mod grammar;
mod performance;
mod tokenizer;
mod vocabulary;

pub use grammar::Grammar;
pub use tokenizer::{Options, Tokenizer};
pub use vocabulary::{Kind, Vocabulary};
