//! Training of byte-pair encoding.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rayon::prelude::*;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, Trainer as _};

use crate::error::{Error, Result};
use crate::midi::Score;
use crate::progress::Progress;
use crate::tokens::scheme::Scheme;
use crate::tokens::{TokenKind, Vocabulary};

use super::{Bpe, MARK, character, fits, spell};

/// The largest vocabulary: the library allocates for all of it at once.
const LARGEST: usize = 1_000_000;
/// How often cancellation is checked during training, which cannot be stopped.
const PATIENCE: Duration = Duration::from_millis(50);

/// Trains on the words of MIDI files until the vocabulary has `size` tokens, including the base vocabulary, or no pair
/// is left to merge.
///
/// # Errors
/// Names the file that cannot be read, or a size that leaves nothing to learn; `interrupted`, when the user cancels.
pub(crate) fn train(
    scheme: &Scheme,
    base: &Vocabulary,
    files: &[PathBuf],
    size: usize,
    progress: &Progress,
) -> Result<Bpe> {
    fits(base)?;
    let marks = scheme.marks_words();
    let least = base.len() + usize::from(marks);
    if size <= least {
        let had = if marks { format!("{} and the mark of a word", base.len()) } else { base.len().to_string() };
        return Err(Error::mistake(format!("a vocabulary of {size} leaves nothing to learn: there are {had} already"))
            .with_hint(format!("ask for more than {least}")));
    }
    if size > LARGEST {
        return Err(Error::mistake(format!("a vocabulary of {size} is too large"))
            .with_hint(format!("ask for {LARGEST} at most; 1000 to 30000 are usual")));
    }
    if files.is_empty() {
        return Err(Error::mistake("byte-pair encoding learns from files, and there are none"));
    }
    let words = read(scheme, base, files, marks, progress)?;
    let specials = (0..base.len() as u32).filter(|&id| base.kind(id) == Some(TokenKind::Special));
    let trainer = BpeTrainer::builder()
        .vocab_size(size)
        .show_progress(false)
        .special_tokens(specials.map(|id| AddedToken::from(character(id).to_string(), true)).collect())
        .initial_alphabet((0..base.len() as u32).map(character).chain(marks.then_some(MARK)).collect())
        .continuing_subword_prefix(String::new())
        .end_of_word_suffix(String::new())
        .build();
    Bpe::new(run(trainer, words, progress)?, base, marks)
}

/// The words of all files, in the order of the files.
fn read(
    scheme: &Scheme,
    base: &Vocabulary,
    files: &[PathBuf],
    marks: bool,
    progress: &Progress,
) -> Result<Vec<String>> {
    let task = Mutex::new(progress.task("reading", Some(files.len() as u64), "files"));
    let words = files.par_iter().map(|file| {
        progress.check()?;
        let score = Score::read(file)?;
        let words = scheme.words(&score, None);
        let joined = |word: &&[u32]| !matches!(word, [id] if alone(base, *id));
        task.lock().unwrap_or_else(PoisonError::into_inner).advance(1)?;
        Ok(words.iter().filter(joined).map(|word| spell(marks, word)).collect::<Vec<String>>())
    });
    Ok(words.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Whether a base token is never merged with others.
pub(super) fn alone(base: &Vocabulary, id: u32) -> bool {
    matches!(
        base.kind(id),
        Some(TokenKind::Special | TokenKind::Chord | TokenKind::Style | TokenKind::Tempo | TokenKind::Click)
    )
}

/// Trains on another thread, so that the caller can stop waiting; the library itself cannot be stopped, and its result
/// after cancellation is dropped.
fn run(mut trainer: BpeTrainer, words: Vec<String>, progress: &Progress) -> Result<BPE> {
    let mut task = progress.task("joining tokens", None, "merges");
    let (sender, receiver) = sync_channel(1);
    let work = move || {
        let mut model = BPE::default();
        let made = trainer
            .feed(words.iter(), |word| Ok(vec![word.to_owned()]))
            .and_then(|()| trainer.train(&mut model))
            .map(|_| model)
            .map_err(|e| Error::internal(e.to_string()));
        // After cancellation nothing receives it.
        let _ = sender.send(made);
    };
    std::thread::Builder::new()
        .name("bpe".into())
        .spawn(work)
        .map_err(|e| Error::mistake(format!("cannot begin a thread: {e}")))?;
    loop {
        match receiver.recv_timeout(PATIENCE) {
            Ok(made) => return made,
            Err(RecvTimeoutError::Timeout) => task.advance(0)?,
            Err(RecvTimeoutError::Disconnected) => return Err(Error::internal("the training of BPE broke off")),
        }
    }
}
