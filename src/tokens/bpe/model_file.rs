//! The BPE model in a `tokenizer.json`: a Hugging Face tokenizer as text.

use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{AddedToken, Tokenizer};

use crate::error::{Error, Result};
use crate::tokens::{TokenKind, Vocabulary};

use super::{Bpe, MARK, character};

/// The model as MidiTok stores it under `_model`.
///
/// # Errors
/// When the library cannot serialise its own model.
pub(super) fn to_json(model: &BPE, base: &Vocabulary, marks: bool) -> Result<String> {
    let refused = |e: tokenizers::Error| Error::internal(format!("the BPE model cannot be written: {e}"));
    let mut tokenizer = Tokenizer::new(model.clone());
    if marks {
        let metaspace = Metaspace::new(MARK, PrependScheme::Always, true);
        tokenizer.with_pre_tokenizer(Some(metaspace.clone())).with_decoder(Some(metaspace));
    }
    let specials = (0..base.len() as u32).filter(|&id| base.kind(id) == Some(TokenKind::Special));
    let specials: Vec<AddedToken> = specials.map(|id| AddedToken::from(character(id).to_string(), true)).collect();
    tokenizer.add_special_tokens(specials).map_err(refused)?;
    tokenizer.to_string(false).map_err(refused)
}

/// Reads a model for a base vocabulary.
///
/// # Errors
/// When it is not a BPE model, splits words in another way, or has another vocabulary.
pub(crate) fn from_json(json: &str, base: &Vocabulary, marks: bool) -> Result<Bpe> {
    let tokenizer: Tokenizer =
        json.parse().map_err(|e| Error::broken(format!("the model is not a Hugging Face tokenizer: {e}")))?;
    let ModelWrapper::BPE(model) = tokenizer.get_model() else {
        return Err(Error::broken("the model is not BPE").with_hint("Unigram and WordPiece are not supported here"));
    };
    if model.dropout.is_some_and(|p| p > 0.0) || model.unk_token.is_some() || model.ignore_merges {
        return Err(Error::broken("the BPE model has a dropout, an unknown token or ignores merges")
            .with_hint("MidiTok trains it without"));
    }
    let marked = match tokenizer.get_pre_tokenizer() {
        None => false,
        Some(PreTokenizerWrapper::Metaspace(m)) if m.get_replacement() == MARK => true,
        Some(_) => return Err(Error::broken("the BPE model cuts words by a rule that is not MidiTok's")),
    };
    if marked != marks || tokenizer.get_normalizer().is_some() {
        return Err(Error::broken("the BPE model cuts words in another way than the key 'encode_ids_split' says"));
    }
    Bpe::new(model.clone(), base, marks)
}
