//! Reads Standard MIDI Files: formats 0, 1 and 2, PPQ and SMPTE timing, RIFF-wrapped or not.
//!
//! Violations that players tolerate are repaired and listed in [`Score::repairs`](crate::midi::Score): truncated files,
//! wrong lengths and numbers of tracks, running status after meta events, real-time bytes, data bytes above 127, notes
//! without an end, text that is not UTF-8, bytes before and after the file. Bytes that are not events are an error that
//! names their offset.

mod chunks;
mod note_matching;
mod part;
mod pedal;
mod track;
mod walk;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::check_ends;
use crate::midi::append::Joiner;
use crate::midi::{Score, Tempo};

use chunks::{Chunks, Timing};
use track::ScoreReader;

/// The last tick of an event: a note at this tick can still have an end.
const LAST_TICK: u32 = u32::MAX - 1;

/// Larger files are refused, in bytes.
const LARGEST: u64 = 1 << 28;

impl Score {
    /// Reads a MIDI file.
    ///
    /// # Errors
    /// Names the file and the offset of the first byte that makes no sense.
    ///
    /// ```
    /// use etude::midi::Score;
    ///
    /// let rag = Score::read("examples/midi/joplin_maple_leaf_rag.mid")?;
    /// assert!(rag.len() > 1000 && rag.repairs.is_empty());
    /// assert!(Score::read("no/such/file.mid").is_err());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        check_ends(path)?;
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        read.map_err(|source| cannot_read(path, source))?;
        if bytes.len() as u64 > LARGEST {
            let shown = path.display();
            return Err(Error::broken(format!("{shown}: larger than {} MiB, so no MIDI file", LARGEST >> 20)));
        }
        Self::from_bytes(&bytes).map_err(|error| error.context(path.display()))
    }

    /// Reads a MIDI file from memory.
    ///
    /// # Errors
    /// Names the offset of the first byte that makes no sense. Any input ends in bounded time and memory.
    ///
    /// ```
    /// use etude::midi::Score;
    ///
    /// let error = Score::from_bytes(b"no MIDI").expect_err("it is something else");
    /// assert!(!error.message().is_empty());
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut repairs = Vec::new();
        let (header, mut chunks) = Chunks::open(bytes, &mut repairs)?;
        let empty = empty(header.timing);
        let metrical = matches!(header.timing, Timing::Metrical(_));
        let mut reader = ScoreReader::new(empty.clone(), metrical, repairs);
        let mut joiner = (header.format == 2).then(|| Joiner::new(empty));
        while let Some(chunk) = chunks.next(&mut reader.repairs)? {
            let end = reader.read(&chunk)?;
            if chunk.unbounded {
                chunks.go_on_from(end);
            }
            if let Some(joiner) = &mut joiner {
                joiner.append(&reader.finish());
                if joiner.last_tick() > LAST_TICK {
                    let message = format!("offset {}: this pattern ends past tick {LAST_TICK}", chunk.offset);
                    return Err(Error::broken(message).with_hint("the file is damaged; export it again"));
                }
            }
        }
        let mut score = match joiner {
            Some(joiner) => joiner.finish(),
            None => reader.finish(),
        };
        score.repairs = reader.repairs;
        Ok(score)
    }
}

/// An empty score with the right tick duration.
///
/// Under SMPTE timing a second has frames × ticks; 29 frames mean 30 in 1.001 seconds. A quarter of one second (or of
/// 1.001) makes both exact.
fn empty(timing: Timing) -> Score {
    let (ticks, micros_per_quarter) = match timing {
        Timing::Metrical(ticks) => return Score::new(ticks.into()),
        Timing::Timecode(29, ticks) => (30 * u32::from(ticks), 1_001_000),
        Timing::Timecode(frames, ticks) => (u32::from(frames) * u32::from(ticks), 1_000_000),
    };
    let mut score = Score::new(ticks);
    score.tempos.push(Tempo { tick: 0, micros_per_quarter });
    score
}

fn cannot_read(path: &Path, source: std::io::Error) -> Error {
    let missing = source.kind() == std::io::ErrorKind::NotFound;
    let error = Error::io("cannot read", path, source);
    if path.is_dir() {
        error.with_hint("this is a folder: name a file in it")
    } else if missing && path.is_relative() {
        let here = std::env::current_dir().map_or_else(|_| "the current folder".into(), |d| d.display().to_string());
        error.with_hint(format!("the path is looked up from {here}"))
    } else {
        error
    }
}

#[cfg(test)]
mod tests;
