//! Datasets: pieces as two splits of packed rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data::ids::Ids;
use crate::data::split::VocabularyRules;
use crate::data::{Condition, DatasetOptions, SkippedFile, Source, Split, encode, openings, partition, piece};
use crate::error::Result;
use crate::progress::Progress;
use crate::tokens::Tokenizer;

/// Packed rows for training and for evaluation, and their origin.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Rows to train on.
    pub train: Split,
    /// Held-out rows: of other pieces, never other windows of the same.
    pub val: Split,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// Those of the files that are held out.
    pub val_files: Vec<PathBuf>,
    /// The sources with more than paths: styles, numbers of copies, splits.
    pub sources: Vec<Source>,
    /// The files that were skipped, and why.
    pub broken: Vec<SkippedFile>,
    /// The tokenizer of the ids.
    pub tokenizer: Arc<Tokenizer>,
    /// The options it was built with.
    pub options: DatasetOptions,
    /// The folder it was read from, if it was saved before.
    pub source: Option<PathBuf>,
}

impl Dataset {
    /// The same data in rows of at most `longest` ids; see [`Split::within`].
    pub fn within(&self, longest: usize) -> Option<Self> {
        Some(Self { train: self.train.within(longest)?, val: self.val.within(longest)?, ..self.clone() })
    }

    /// The same, handed out as its options say.
    pub(super) fn conditioned(self) -> Result<Self> {
        match self.options.condition {
            Condition::None => Ok(self),
            Condition::Chords => self.paired(),
        }
    }

    /// Reads, splits, augments, encodes and packs the pieces under `paths`, on all cores.
    ///
    /// # Errors
    /// A path that does not exist, no file that can be read, an option out of range; `interrupted`, when the user
    /// cancels.
    pub fn build(
        paths: &[PathBuf],
        tokenizer: Arc<Tokenizer>,
        options: &DatasetOptions,
        progress: &Progress,
    ) -> Result<Self> {
        Self::build_from(&[Source::of(paths)], tokenizer, options, progress)
    }

    /// [`Dataset::build`] from several sources, each with its style, number of copies and split.
    ///
    /// # Errors
    /// Those of [`Dataset::build`]; a style that the tokenizer does not have.
    pub fn build_from(
        sources: &[Source],
        tokenizer: Arc<Tokenizer>,
        options: &DatasetOptions,
        progress: &Progress,
    ) -> Result<Self> {
        options.validate()?;
        if options.condition == Condition::Chords {
            tokenizer.check_pairs().map_err(|e| e.context("condition: \"chords\""))?;
        }
        let (pieces, mut broken) = piece::read(sources, &tokenizer, options, progress)?;
        let contents: Vec<u64> = pieces.iter().map(|piece| piece.content).collect();
        let folders: Vec<&Path> = pieces.iter().map(|piece| piece.path.as_path()).collect();
        let mut held = match partition::by_folder(&folders) {
            Some(held) if options.val > 0.0 => held,
            _ => partition::held_out(&contents, options.val, options.seed),
        };
        for (held, piece) in held.iter_mut().zip(&pieces) {
            *held = piece.val.unwrap_or(*held);
        }
        let side = |out| pieces.iter().zip(&held).filter(move |(_, held)| **held == out).map(|(piece, _)| piece);

        let rules = Arc::new(VocabularyRules::new(&tokenizer));
        let val = side(true).map(|piece| {
            let mut ids = Ids::with_capacity(rules.vocab_size, piece.ids.len() + 2);
            encode::whole(&mut ids, piece.style, &piece.ids, &tokenizer);
            ids
        });
        let val = openings::repeat(val.collect(), options.max_seq_len, &tokenizer);
        let val = Split::pack(val, options.max_seq_len, Arc::clone(&rules)).with_packing(options.packing);
        let val_files = side(true).map(|piece| piece.path.clone()).collect();
        let (copies, lost) = encode::copies(&side(false).collect::<Vec<_>>(), &tokenizer, options, progress)?;
        let files: Vec<PathBuf> =
            pieces.iter().map(|piece| piece.path.clone()).filter(|path| lost.iter().all(|l| l.path != *path)).collect();
        drop(pieces);
        broken.extend(lost);
        if copies.iter().all(|ids| ids.len() == 0) {
            return Err(piece::nothing_left(&broken));
        }
        let copies = openings::repeat(copies, options.max_seq_len, &tokenizer);
        let train = Split::pack(copies, options.max_seq_len, rules).with_packing(options.packing);
        let described = sources.iter().any(|source| !source.is_plain());
        let sources = if described { sources.to_vec() } else { Vec::new() };
        let options = options.clone();
        let made = Self { train, val, files, val_files, sources, broken, tokenizer, options, source: None };
        made.conditioned()
    }
}
