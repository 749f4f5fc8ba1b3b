//! Pieces: files read, trimmed, with chords, encoded once, on all cores.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rand::Rng;
use rayon::prelude::*;

use crate::data::random::{Draw, rng};
use crate::data::scan;
use crate::data::{ChordSource, DatasetOptions, SkippedFile, Source};
use crate::error::{Error, Result};
use crate::harmony::{ChordAt, chord_markers, recognize_where_sure};
use crate::interrupt::Interrupt;
use crate::midi::Score;
use crate::progress::Progress;
use crate::tokens::Tokenizer;

/// A piece with notes.
#[derive(Debug)]
pub(super) struct Piece {
    /// The file.
    pub(super) path: PathBuf,
    /// A hash of its bytes; the same for copies of one file.
    pub(super) content: u64,
    /// The token of its style.
    pub(super) style: Option<u32>,
    /// Mean number of copies, if its source sets it.
    pub(super) copies: Option<f64>,
    /// Whether it is held out, if its source sets it.
    pub(super) val: Option<bool>,
    /// Its score, without the silence at its start.
    pub(super) score: Score,
    /// Its chords.
    pub(super) chords: Vec<ChordAt>,
    /// Its ids, without BOS and EOS.
    pub(super) ids: Vec<u32>,
}

/// The largest MIDI file that is read, in bytes.
const LARGEST: u64 = 64 << 20;
/// Recognised chords whose root is right with less than this probability are not used as labels.
const SURE: f32 = 0.35;

impl Piece {
    /// The lowest and highest keys of all notes that have a pitch.
    pub(super) fn keys(&self) -> Option<(u8, u8)> {
        let keys = || self.score.pitched().flat_map(|t| &t.notes).map(|n| n.pitch);
        keys().min().zip(keys().max())
    }
}

/// Reads the files under `paths`; those that cannot be read or have no notes are the second list.
///
/// # Errors
/// A path that does not exist, no usable file; `interrupted`, when the user cancels.
pub(super) fn read(
    sources: &[Source],
    tokenizer: &Tokenizer,
    options: &DatasetOptions,
    progress: &Progress,
) -> Result<(Vec<Piece>, Vec<SkippedFile>)> {
    let (files, mut broken) = find(sources, options.seed, progress)?;
    let styles: Vec<Option<u32>> = sources
        .iter()
        .map(|source| source.style.as_ref().map(|style| tokenizer.style_id(style)).transpose())
        .collect::<Result<_>>()?;
    let source = if tokenizer.has_chords() { options.chords } else { ChordSource::None };
    let task = Mutex::new(progress.task("reading", Some(files.len() as u64), "files"));
    let read = files.into_par_iter().map(|(path, from)| {
        progress.check()?;
        let about = |piece: Piece| Piece {
            style: styles[from],
            copies: sources[from].copies.map(|copies| copies.max(1.0)),
            val: sources[from].val,
            ..piece
        };
        let piece = read_one(&path, tokenizer, source, progress.interrupt());
        let piece = piece.map(about).map_err(|e| SkippedFile { path, reason: e.message().to_string() });
        progress.check()?;
        task.lock().unwrap_or_else(PoisonError::into_inner).advance(1)?;
        Ok(piece)
    });
    let mut pieces = Vec::new();
    for outcome in read.collect::<Result<Vec<_>>>()? {
        match outcome {
            Ok(piece) => pieces.push(piece),
            Err(skipped) => broken.push(skipped),
        }
    }
    if pieces.is_empty() { Err(nothing_left(&broken)) } else { Ok((pieces, broken)) }
}

/// A file and the index of its source.
type Sourced = (PathBuf, usize);

/// The files of all sources, each once; of a source with less than one copy of a piece that share of them, drawn from
/// the seed.
fn find(sources: &[Source], seed: u64, progress: &Progress) -> Result<(Vec<Sourced>, Vec<SkippedFile>)> {
    if sources.iter().all(|source| source.paths.is_empty()) {
        return Err(Error::mistake("a dataset of no paths").with_hint("name a folder with MIDI files, or the files"));
    }
    let (mut files, mut broken) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for (place, source) in sources.iter().enumerate() {
        source.validate()?;
        for path in &source.paths {
            let found = scan::find(path, progress)?;
            broken.extend(found.broken);
            let new = |file: &PathBuf| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone()));
            files.extend(found.files.into_iter().filter(new).map(|file| (file, place)));
        }
        if let Some(share) = source.copies.filter(|&copies| copies < 1.0) {
            let mut rng = rng(seed, Draw::Files, place as u64);
            files.retain(|(_, from)| *from != place || rng.random::<f64>() < share);
        }
    }
    Ok((files, broken))
}

fn read_one(path: &Path, tokenizer: &Tokenizer, source: ChordSource, interrupt: &Interrupt) -> Result<Piece> {
    let bytes = read_bytes(path)?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let score = Score::from_bytes(&bytes)?.trim();
    if score.is_empty() {
        return Err(Error::broken("it has no notes"));
    }
    let chords = chords_of(&score, source, interrupt)?;
    let ids = tokenizer.encode_with(&score, &chords);
    if ids.is_empty() {
        return Err(Error::broken(format!("the {} encoding has no token for its notes", tokenizer.scheme())));
    }
    let content = hasher.finish();
    Ok(Piece { path: path.to_path_buf(), content, style: None, copies: None, val: None, score, chords, ids })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let refused = |e: std::io::Error| Error::broken(e.to_string());
    let file = File::open(path).map_err(refused)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(refused)?;
    match bytes.len() as u64 {
        0 => Err(Error::broken("the file is empty")),
        n if n > LARGEST => Err(Error::broken(format!("no MIDI file is larger than {} MiB", LARGEST >> 20))),
        _ => Ok(bytes),
    }
}

fn chords_of(score: &Score, source: ChordSource, interrupt: &Interrupt) -> Result<Vec<ChordAt>> {
    let markers = match source {
        ChordSource::Auto | ChordSource::Markers => chord_markers(score),
        ChordSource::Detect | ChordSource::None => Vec::new(),
    };
    let listen = source == ChordSource::Detect || source == ChordSource::Auto && markers.is_empty();
    if listen { recognize_where_sure(score, SURE, interrupt) } else { Ok(markers) }
}

/// The number of reasons in an error.
const SHOWN: usize = 3;

/// The error of a build in which every file was skipped.
pub(super) fn nothing_left(broken: &[SkippedFile]) -> Error {
    let mut reasons: Vec<String> =
        broken.iter().take(SHOWN).map(|b| format!("{}: {}", b.path.display(), b.reason)).collect();
    if broken.len() > SHOWN {
        reasons.push(format!("and {} more", broken.len() - SHOWN));
    }
    let files = if broken.len() == 1 { "the only file".into() } else { format!("none of the {} files", broken.len()) };
    let verb = if broken.len() == 1 { "cannot be used" } else { "can be used" };
    Error::broken(format!("{files} {verb}:\n    {}", reasons.join("\n    ")))
        .with_hint("a dataset needs at least one Standard MIDI File with notes")
}
