//! Encodes the augmented copies of the training pieces, on all cores.
//!
//! Each tempo is encoded from the stretched score; its transpositions are made from those ids where the encoding allows
//! that, else from the score. No stretched score outlives its encoding.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::{Mutex, PoisonError};

use rand::Rng;
use rayon::prelude::*;

use crate::data::augment::Copy;
use crate::data::ids::Ids;
use crate::data::piece::Piece;
use crate::data::random::{Draw, rng};
use crate::data::{DatasetOptions, SkippedFile};
use crate::error::Result;
use crate::harmony::ChordAt;
use crate::midi::Score;
use crate::progress::Progress;
use crate::tokens::Tokenizer;

/// The copies of all pieces, each as BOS, its ids, EOS, in the order of the pieces; and the pieces without any, because
/// none of their tempi fits MIDI.
///
/// # Errors
/// `interrupted`, when the user cancels.
pub(super) fn copies(
    pieces: &[&Piece],
    tokenizer: &Tokenizer,
    options: &DatasetOptions,
    progress: &Progress,
) -> Result<(Vec<Ids>, Vec<SkippedFile>)> {
    let plans: Vec<Vec<Copy>> = (0..)
        .zip(pieces)
        .map(|(place, piece)| {
            let mut rng = rng(options.seed, Draw::Copies, place);
            let mut copies = options.augment.copies(piece.keys(), piece.copies, options.chord_dropout, &mut rng);
            if options.style_dropout > 0.0 {
                copies.iter_mut().for_each(|copy| copy.style = rng.random::<f64>() >= options.style_dropout);
            }
            copies
        })
        .collect();
    let total = plans.iter().map(|plan| plan.len() as u64).sum();
    let task = Mutex::new(progress.task("encoding", Some(total), "copies"));
    // The unit of work is a piece at one tempo: small enough for many cores, and its transpositions share an encoding.
    let groups: Vec<(usize, &[Copy])> = plans
        .iter()
        .enumerate()
        .flat_map(|(piece, plan)| plan.chunk_by(|a, b| a.tempo == b.tempo).map(move |group| (piece, group)))
        .collect();
    let encoded = groups.par_iter().map(|&(place, group)| {
        let piece = pieces[place];
        let mut ids = Ids::with_capacity(tokenizer.vocab_size(), group.len() * (piece.ids.len() + 2));
        let tempo = AtTempo::new(piece, group[0].tempo, tokenizer);
        for copy in group {
            task.lock().unwrap_or_else(PoisonError::into_inner).advance(1)?;
            let style = piece.style.filter(|_| copy.style);
            if let Some(copy) = tempo.as_ref().ok().and_then(|tempo| tempo.copy(copy)) {
                whole(&mut ids, style, &copy, tokenizer);
            }
        }
        Ok((ids, tempo.err().map(|e| e.message().to_string())))
    });
    let encoded = encoded.collect::<Result<Vec<_>>>()?;
    let mut refused: Vec<Option<String>> = vec![None; pieces.len()];
    let mut made = vec![false; pieces.len()];
    for (&(place, _), (ids, reason)) in groups.iter().zip(&encoded) {
        made[place] |= ids.len() > 0;
        refused[place] = refused[place].take().or_else(|| reason.clone());
    }
    let planned = |place: usize| !plans[place].is_empty();
    let lost = pieces.iter().enumerate().zip(made).zip(refused);
    let lost = lost.filter(|(((place, _), made), _)| planned(*place) && !made).map(|(((_, piece), _), reason)| {
        SkippedFile { path: piece.path.clone(), reason: reason.unwrap_or_else(|| "no copy of it can be made".into()) }
    });
    let lost = lost.collect();
    Ok((encoded.into_iter().map(|(ids, _)| ids).collect(), lost))
}

/// Appends BOS, the style if there is one, a piece, EOS.
pub(super) fn whole(to: &mut Ids, style: Option<u32>, piece: &[u32], tokenizer: &Tokenizer) {
    to.push(tokenizer.bos());
    to.extend(style);
    to.extend(piece.iter().copied());
    to.push(tokenizer.eos());
}

/// A piece at one tempo, encoded lazily with and without chords.
struct AtTempo<'a> {
    tokenizer: &'a Tokenizer,
    score: Cow<'a, Score>,
    chords: Cow<'a, [ChordAt]>,
    with: OnceCell<Cow<'a, [u32]>>,
    without: OnceCell<Vec<u32>>,
}

impl<'a> AtTempo<'a> {
    fn new(piece: &'a Piece, tempo: f64, tokenizer: &'a Tokenizer) -> Result<Self> {
        let (without, with) = (OnceCell::new(), OnceCell::new());
        if tempo == 1.0 {
            let with = OnceCell::from(Cow::Borrowed(&piece.ids[..]));
            let (score, chords) = (Cow::Borrowed(&piece.score), Cow::Borrowed(&piece.chords[..]));
            return Ok(Self { tokenizer, score, chords, with, without });
        }
        let score = Cow::Owned(piece.score.stretch(1.0 / tempo)?);
        let chords = piece.chords.iter().map(|c| ChordAt { seconds: c.seconds / tempo, ..c.clone() }).collect();
        Ok(Self { tokenizer, score, chords, with, without })
    }

    /// The ids of a copy; `None` when a note would leave MIDI's range.
    fn copy(&self, copy: &Copy) -> Option<Cow<'_, [u32]>> {
        let chords = if copy.chords { &self.chords[..] } else { &[] };
        let ids: &[u32] = if copy.chords {
            self.with.get_or_init(|| Cow::Owned(self.tokenizer.encode_with(&self.score, &self.chords)))
        } else {
            self.without.get_or_init(|| self.tokenizer.encode_with(&self.score, &[]))
        };
        if copy.semitones == 0 {
            return Some(Cow::Borrowed(ids));
        }
        if let Some(moved) = self.tokenizer.transpose(ids, copy.semitones) {
            return Some(Cow::Owned(moved));
        }
        let score = self.score.transpose(copy.semitones).ok()?;
        let moved = |c: &ChordAt| ChordAt { chord: c.chord.transpose(copy.semitones), ..c.clone() };
        let chords: Vec<ChordAt> = chords.iter().map(moved).collect();
        Some(Cow::Owned(self.tokenizer.encode_with(&score, &chords)))
    }
}
