//! Byte-pair encoding over another encoding: pairs of tokens that often follow each other become one token (Gage 1994;
//! for music Fradet et al. 2023), as in MidiTok, which uses Hugging Face's `tokenizers`.
//!
//! The base token `i` is the character `33 + i`. A sequence is split into words, at bar lines by default; a word is `▁`
//! and its characters, and BPE merges characters inside of words. So a learned token is a run of base tokens, with or
//! without the mark `▁` for the beginning of a word. Ids below the size of the base vocabulary are the base tokens.
//! Chords and special tokens are never merged.

mod model_file;
mod rules;
#[cfg(test)]
mod tests;
mod train;
mod trie;

pub(super) use model_file::from_json;
pub(super) use rules::BpeRules;
pub(super) use train::train;

use tokenizers::Model as _;
use tokenizers::models::bpe::BPE;

use crate::error::{Error, Result};
use crate::tokens::bpe_words::Words;
use crate::tokens::{TokenKind, Vocabulary};

use trie::Trie;

/// The character of the base token 0.
const FIRST: u32 = 33;
/// The first character of a word.
const MARK: char = '▁';

/// The base tokens of a learned token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MergedToken {
    /// Whether it begins a word.
    pub(super) marked: bool,
    /// Base tokens; none for the bare mark.
    pub(super) ids: Box<[u32]>,
}

/// A trained model over a base vocabulary.
pub(super) struct Bpe {
    model: BPE,
    /// The number of base tokens.
    base: u32,
    /// Whether words are marked; if not, a sequence is one word.
    marks: bool,
    /// By id.
    pieces: Vec<MergedToken>,
    /// Whether a base token is never merged.
    alone: Vec<bool>,
    trie: Trie,
    /// The model as the text of a Hugging Face tokenizer.
    json: String,
}

impl std::fmt::Debug for Bpe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bpe").field("base", &self.base).field("marks", &self.marks).finish_non_exhaustive()
    }
}

/// The character of a base token.
pub(super) fn character(id: u32) -> char {
    char::from_u32(FIRST + id).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Refuses a base vocabulary whose characters would include the mark.
fn fits(base: &Vocabulary) -> Result<()> {
    let most = MARK as usize - FIRST as usize;
    if base.len() < most {
        return Ok(());
    }
    Err(Error::mistake(format!("byte-pair encoding takes a vocabulary of {most} tokens at most, not {}", base.len())))
}

impl Bpe {
    /// # Errors
    /// When the first ids of the model are not the base vocabulary, or it has other characters.
    fn new(model: BPE, base: &Vocabulary, marks: bool) -> Result<Self> {
        fits(base)?;
        let size = base.len() as u32;
        let mut pieces = Vec::with_capacity(model.get_vocab_size());
        for id in 0..model.get_vocab_size() as u32 {
            let text = model.id_to_token(id).ok_or_else(|| Error::broken(format!("the model has no token {id}")))?;
            let piece = piece(&text, size, marks).ok_or_else(|| {
                Error::broken(format!("token {id} of the model, '{text}', is not a run of base tokens"))
            })?;
            if id < size && piece != (MergedToken { marked: false, ids: [id].into() }) {
                let name = base.name(id).unwrap_or_default();
                return Err(Error::broken(format!("token {id} of the model, '{text}', is not {name}")));
            }
            pieces.push(piece);
        }
        if pieces.len() < base.len() {
            return Err(Error::broken(format!("the model has {} tokens, fewer than {size}", pieces.len())));
        }
        let alone = (0..size)
            .map(|id| {
                matches!(
                    base.kind(id),
                    Some(
                        TokenKind::Special | TokenKind::Chord | TokenKind::Style | TokenKind::Tempo | TokenKind::Click
                    )
                )
            })
            .collect();
        let json = model_file::to_json(&model, base, marks)?;
        let mut bpe = Self { json, model, base: size, marks, pieces, alone, trie: Trie::default() };
        let mut trie = Trie::default();
        for (id, piece) in (0..).zip(&bpe.pieces) {
            // A merged run that BPE encodes in another way is an intermediate step of training.
            if bpe.alone(piece) || bpe.encode_text(&text(piece)) == [id] {
                trie.insert(piece, id);
            }
        }
        bpe.trie = trie;
        Ok(bpe)
    }

    /// The number of ids.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The number of base tokens.
    pub(super) fn base_len(&self) -> usize {
        self.base as usize
    }

    /// The text of a Hugging Face tokenizer, as MidiTok stores it.
    pub(super) fn json(&self) -> &str {
        &self.json
    }

    /// The base vocabulary and the learned tokens, named by the tokens they merge.
    pub(super) fn vocabulary(&self, base: &Vocabulary) -> Vocabulary {
        let mut vocabulary = base.clone();
        for piece in &self.pieces[base.len()..] {
            let names: Vec<&str> = piece.ids.iter().filter_map(|&id| base.name(id)).collect();
            let mark = if piece.marked { "▁" } else { "" };
            vocabulary.push(format!("{mark}{}", names.join("+")), TokenKind::Other);
        }
        vocabulary
    }

    fn alone(&self, piece: &MergedToken) -> bool {
        matches!(piece.ids[..], [id] if !piece.marked && self.alone[id as usize])
    }

    pub(super) fn encode(&self, words: &Words) -> Vec<u32> {
        let mut ids = Vec::with_capacity(words.ids.len());
        let mut text = String::new();
        for word in words.iter() {
            if let [id] = *word
                && self.alone[id as usize]
            {
                ids.push(id);
                continue;
            }
            text.clear();
            text.extend(self.marks.then_some(MARK));
            text.extend(word.iter().map(|&id| character(id)));
            ids.extend(self.encode_text(&text));
        }
        ids
    }

    fn encode_text(&self, text: &str) -> Vec<u32> {
        // Tokenizing fails only with a dropout of 1; the dropout is 0.
        let tokens = self.model.tokenize(text).unwrap_or_default();
        tokens.into_iter().map(|token| token.id).collect()
    }

    /// The base tokens of any ids, split into words by their marks.
    pub(super) fn words(&self, ids: &[u32]) -> Words {
        let mut words = Words::default();
        words.cut();
        for piece in ids.iter().filter_map(|&id| self.pieces.get(id as usize)) {
            if piece.marked || self.alone(piece) {
                words.cut();
            }
            words.ids.extend(&piece.ids);
            if self.alone(piece) {
                words.cut();
            }
        }
        words.starts.pop_if(|start| *start == words.ids.len());
        words
    }

    /// The base tokens of each id.
    pub(super) fn piece(&self, id: u32) -> &[u32] {
        self.pieces.get(id as usize).map_or(&[], |piece| &piece.ids)
    }

    /// Whether BPE leaves two neighbouring ids of one word unmerged. A word is spelled as BPE spells it exactly if all
    /// its pairs are (Vieira et al. 2025).
    fn canonical(&self, first: u32, then: u32) -> bool {
        let (Some(a), Some(b)) = (self.pieces.get(first as usize), self.pieces.get(then as usize)) else {
            return false;
        };
        self.encode_text(&[text(a), text(b)].concat()) == [first, then]
    }
}

/// The base tokens of a token of the model, and its mark.
fn piece(text: &str, base: u32, marks: bool) -> Option<MergedToken> {
    let rest = text.strip_prefix(MARK).filter(|_| marks);
    let ids = rest.unwrap_or(text).chars().map(|c| (c as u32).checked_sub(FIRST).filter(|&id| id < base));
    Some(MergedToken { marked: rest.is_some(), ids: ids.collect::<Option<_>>()? })
}

fn text(piece: &MergedToken) -> String {
    spell(piece.marked, &piece.ids)
}

/// A run of base tokens in characters.
fn spell(marked: bool, ids: &[u32]) -> String {
    marked.then_some(MARK).into_iter().chain(ids.iter().map(|&id| character(id))).collect()
}
