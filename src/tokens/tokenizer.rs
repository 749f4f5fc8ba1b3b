//! `Tokenizer`: one interface to all encodings, with or without byte-pair encoding.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::atomic;
use crate::error::{Error, Result};
use crate::files::read_text;
use crate::harmony::ChordAt;
use crate::midi::Score;
use crate::progress::Progress;
use crate::tokens::bpe::{self, Bpe};
use crate::tokens::grammar::Rules;
use crate::tokens::scheme::Scheme;
use crate::tokens::{Grammar, Options, TokenKind, Vocabulary, tokenizer_file};

/// Encodes scores as token ids and decodes them.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    pub(super) scheme: Scheme,
    vocabulary: Arc<Vocabulary>,
    pub(super) bpe: Option<Arc<Bpe>>,
}

impl Tokenizer {
    /// The names of the encodings that [`Tokenizer::new`] accepts.
    pub const SCHEMES: [&'static str; 5] = Scheme::NAMES;

    /// A tokenizer by name.
    ///
    /// # Errors
    /// An unknown name is refused with the nearest known one.
    ///
    /// ```
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("note_duration", &Options::default())?;
    /// assert_eq!(tokenizer.scheme(), "note_duration");
    /// let error = Tokenizer::new("note_durations", &Options::default()).expect_err("there is none");
    /// assert!(error.hint().is_some());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn new(scheme: &str, options: &Options) -> Result<Self> {
        Ok(Self::of(Scheme::new(scheme, options)?, None))
    }

    fn of(scheme: Scheme, bpe: Option<Bpe>) -> Self {
        let base = scheme.vocabulary();
        let vocabulary = match &bpe {
            Some(bpe) => bpe.vocabulary(&base),
            None => base,
        };
        Self { scheme, vocabulary: Arc::new(vocabulary), bpe: bpe.map(Arc::new) }
    }

    /// The same encoding with byte-pair encoding trained on these MIDI files, as MidiTok does: frequent pairs of tokens
    /// become one, until the vocabulary has `size` tokens or no pair is left to merge. An earlier training is replaced.
    ///
    /// # Errors
    /// Names the file that cannot be read, or a size that leaves nothing to learn; `interrupted`, when the user cancels.
    pub fn train_bpe(&self, files: &[PathBuf], size: usize, progress: &Progress) -> Result<Self> {
        let bpe = bpe::train(&self.scheme, &self.scheme.vocabulary(), files, size, progress)?;
        Ok(Self::of(self.scheme.clone(), Some(bpe)))
    }

    /// The number of tokens that byte-pair encoding has added; `None` when it was not trained.
    pub fn learned(&self) -> Option<usize> {
        self.bpe.as_ref().map(|bpe| bpe.len() - bpe.base_len())
    }

    /// Reads a `tokenizer.json` in MidiTok's layout.
    ///
    /// # Errors
    /// Names the file and the key that is missing or wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let json = read_text(path)?;
        Self::from_json(&json).map_err(|e| e.context(format!("while reading {}", path.display())))
    }

    /// [`Tokenizer::load`] for a file in a model's folder: `None` for a text tokenizer of Hugging Face's `tokenizers`.
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn load_ours(path: &Path) -> Result<Option<Self>> {
        let json = read_text(path)?;
        if tokenizer_file::is_of_words(&json) {
            return Ok(None);
        }
        Self::from_json(&json).map(Some).map_err(|e| e.context(format!("while reading {}", path.display())))
    }

    /// Writes a `tokenizer.json` in MidiTok's layout, atomically.
    ///
    /// # Errors
    /// Names the path when the file system refuses.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        atomic::write(path.as_ref(), self.to_json().as_bytes())
    }

    /// The `tokenizer.json` as text; see [`Tokenizer::save`].
    ///
    /// ```
    /// # use etude::tokens::{Options, Tokenizer};
    /// # let tokenizer = Tokenizer::new("note_duration", &Options::default())?;
    /// let read = Tokenizer::from_json(&tokenizer.to_json())?;
    /// assert_eq!(read.vocab_size(), tokenizer.vocab_size());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        match &self.bpe {
            Some(bpe) => tokenizer_file::to_json(&self.scheme, Some((bpe, &self.scheme.vocabulary()))),
            None => tokenizer_file::to_json(&self.scheme, None),
        }
    }

    /// Reads a `tokenizer.json` as text; see [`Tokenizer::load`].
    ///
    /// # Errors
    /// Names the key that is missing or wrong.
    ///
    /// ```
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("tsd", &Options::default())?;
    /// assert_eq!(Tokenizer::from_json(&tokenizer.to_json())?.vocab_size(), tokenizer.vocab_size());
    /// assert!(Tokenizer::from_json("{}").is_err());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn from_json(json: &str) -> Result<Self> {
        let (scheme, bpe) = tokenizer_file::from_json(json)?;
        Ok(Self::of(scheme, bpe))
    }

    /// The name of the encoding.
    pub fn scheme(&self) -> &str {
        self.scheme.name()
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The number of ids.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The ids of a score, without BOS and EOS; chord markers in the score become chord tokens.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// # use etude::tokens::{Options, Tokenizer};
    /// # let tokenizer = Tokenizer::new("note_duration", &Options::default())?;
    /// let ids = tokenizer.encode(&score);
    /// assert_eq!(tokenizer.decode(&ids).sounds().len(), 2);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn encode(&self, score: &Score) -> Vec<u32> {
        match &self.bpe {
            Some(bpe) => bpe.encode(&self.scheme.words(score, None)),
            None => self.scheme.encode(score),
        }
    }

    /// The ids of a score with these chords in place of its markers.
    pub fn encode_with(&self, score: &Score, chords: &[ChordAt]) -> Vec<u32> {
        match &self.bpe {
            Some(bpe) => bpe.encode(&self.scheme.words(score, Some(chords))),
            None => self.scheme.encode_with(score, chords),
        }
    }

    /// The score of any ids: invalid tokens are left out, notes that are open at the end are closed.
    pub fn decode(&self, ids: &[u32]) -> Score {
        match &self.bpe {
            Some(bpe) => self.scheme.decode(&bpe.words(ids).ids),
            None => self.scheme.decode(ids),
        }
    }

    /// The ids of the same piece `semitones` higher, computed on the ids: keys and chord roots move. `None` when a
    /// pitch would leave the piano (21–108), or when ids cannot be moved one by one.
    ///
    /// ```
    /// use etude::harmony::Chart;
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("performance", &Options::default())?;
    /// let score = "C7 | F7".parse::<Chart>()?.score(120.0);
    /// let moved = tokenizer.transpose(&tokenizer.encode(&score), 2);
    /// assert_eq!(moved, Some(tokenizer.encode(&score.transpose(2)?)));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn transpose(&self, ids: &[u32], semitones: i32) -> Option<Vec<u32>> {
        let Some(bpe) = &self.bpe else { return self.scheme.transpose(ids, semitones) };
        let mut words = bpe.words(ids);
        words.ids = self.scheme.transpose(&words.ids, semitones)?;
        Some(bpe.encode(&words))
    }

    /// The name of an id.
    ///
    /// # Errors
    /// Names the id and the size of the vocabulary.
    ///
    /// ```
    /// # use etude::tokens::{Options, Tokenizer};
    /// # let tokenizer = Tokenizer::new("note_duration", &Options::default())?;
    /// let id = tokenizer.id("TimeShift_10")?;
    /// assert_eq!(tokenizer.token(id)?, "TimeShift_10");
    /// assert!(tokenizer.token(1_000_000).is_err());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn token(&self, id: u32) -> Result<&str> {
        self.vocabulary.name(id).ok_or_else(|| {
            Error::mistake(format!("there is no token {id}"))
                .with_hint(format!("ids go from 0 to {}", self.vocab_size() - 1))
        })
    }

    /// The id of a name.
    ///
    /// # Errors
    /// An unknown name is refused with the nearest known one.
    pub fn id(&self, token: &str) -> Result<u32> {
        self.vocabulary.id(token)
    }

    /// The kind of an id; [`TokenKind::Other`] for ids beyond the vocabulary.
    ///
    /// ```
    /// use etude::tokens::{TokenKind, Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("performance", &Options::default())?;
    /// let note = tokenizer.id("NoteOn_60")?;
    /// assert_eq!((tokenizer.kind(note), tokenizer.pitch(note)), (TokenKind::Note, Some(60)));
    /// assert_eq!(tokenizer.kind(tokenizer.eos()), TokenKind::Special);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn kind(&self, id: u32) -> TokenKind {
        self.vocabulary.kind(id).unwrap_or(TokenKind::Other)
    }

    /// The key number (0–127) of a [`TokenKind::Note`] token.
    pub fn pitch(&self, id: u32) -> Option<u8> {
        self.scheme.pitch(id)
    }

    /// The pitch class (0–11) of a [`TokenKind::Note`] token: above the root of the chord in force where the encoding has
    /// relative pitches.
    pub fn pitch_class(&self, id: u32) -> Option<u8> {
        self.scheme.pitch_class(id)
    }

    /// The tones of the chord in force after this token, in the frame of [`Tokenizer::pitch_class`]: a bit for each
    /// pitch class, none without a chord; `None` when the token changes no chord. `root` is state that the caller keeps
    /// between calls, 0 at first.
    pub fn chord_tones(&self, id: u32, root: &mut u8) -> Option<u16> {
        self.scheme.chord_tones(id, root)
    }

    /// The number of step counts that are rounded to a duration token; else 1.
    pub fn width(&self, id: u32) -> u32 {
        self.scheme.width(id)
    }

    /// Whether the vocabulary has chords; [`Grammar::chord_ids`] gives the tokens of one.
    pub fn has_chords(&self) -> bool {
        self.scheme.has_chords()
    }

    /// The token of a style, which comes right behind BOS.
    ///
    /// # Errors
    /// An unknown style is refused with the nearest known one, and any for an encoding without styles.
    ///
    /// ```
    /// # use etude::tokens::{Options, Tokenizer};
    /// # let tokenizer = Tokenizer::new("note_duration", &Options::default())?;
    /// assert_eq!(tokenizer.token(tokenizer.style_id("rag")?)?, "Style_rag");
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn style_id(&self, name: &str) -> Result<u32> {
        self.scheme.style_id(name)
    }

    /// The steps of 10 ms that pass with a time shift. After a [`Kind::Click`], shifts up to the first that is not the longest
    /// are the time until it.
    pub(crate) fn time_shift(&self, id: u32) -> Option<u32> {
        self.scheme.shift_steps(id)
    }

    /// The id of the tempo nearest to `beats_per_minute`; `None` for encodings without such tokens.
    ///
    /// ```
    /// # use etude::tokens::{Options, Tokenizer};
    /// let tokenizer = Tokenizer::new("note_duration", &Options::default())?;
    /// assert_eq!(tokenizer.tempo_id(120.0), Some(tokenizer.id("Tempo_119")?));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn tempo_id(&self, beats_per_minute: f64) -> Option<u32> {
        self.scheme.tempo_id(beats_per_minute)
    }

    /// The token that begins a bar or another beat, if the encoding has them.
    pub fn beat_id(&self, bar: bool) -> Option<u32> {
        self.scheme.beat_id(bar)
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

    /// The grammar in its initial state, after BOS.
    ///
    /// ```
    /// # use etude::tokens::{Options, Tokenizer};
    /// # let tokenizer = Tokenizer::new("note_duration", &Options::default())?;
    /// // A duration has no place before its pitch.
    /// assert!(!tokenizer.grammar().accepts(tokenizer.id("Duration_10")?));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn grammar(&self) -> Grammar {
        let base = self.scheme.automaton();
        Grammar::new(match &self.bpe {
            Some(bpe) => Rules::Bpe(bpe::BpeRules::new(base, bpe)),
            None => Rules::Base(base),
        })
    }

    /// Seconds at which each id begins (for encodings in beats: at 120 beats per minute).
    pub fn moments(&self, ids: &[u32]) -> Vec<f64> {
        let Some(bpe) = &self.bpe else { return self.scheme.moments(ids) };
        let runs: Vec<&[u32]> = ids.iter().map(|&id| bpe.piece(id)).collect();
        let mut all = self.scheme.moments(&runs.concat());
        all.push(all.last().copied().unwrap_or(0.0));
        let ends = runs.iter().scan(0, |at, run| {
            *at += run.len();
            Some(*at)
        });
        runs.iter().zip(ends).map(|(run, end)| all[end - run.len()]).collect()
    }

    /// A readable listing of ids, one event a line, with its time.
    ///
    /// ```
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("performance", &Options::default())?;
    /// let text = tokenizer.show(&[tokenizer.id("NoteOn_60")?, tokenizer.id("TimeShift_100")?]);
    /// assert!(text.lines().count() == 2 && text.contains("NoteOn_60"));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn show(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        for (i, (&id, now)) in ids.iter().zip(self.moments(ids)).enumerate() {
            let name = self.vocabulary.name(id).unwrap_or("not a token");
            let line = format!("{i:>6} {now:>9.2} s {id:>6}  {name:<18} {}", self.scheme.gloss(id));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}
