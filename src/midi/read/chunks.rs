//! The chunks of a Standard MIDI File: an optional RIFF wrapper, a header chunk, track chunks.
//!
//! A chunk is four letters, a big-endian length and that many bytes; the header holds format, number of tracks and
//! timing. See "Standard MIDI Files 1.0", RP-001. An RMID file is the same inside the `data` chunk of a RIFF file,
//! whose lengths are little-endian.

use crate::error::{Error, Result};
use crate::midi::repair::{self, Fault, Repair};

/// The timing of a file: the meaning of its ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timing {
    /// Ticks in a quarter note.
    Metrical(u16),
    /// Frames a second (29 means 30 / 1.001) and ticks in a frame.
    Timecode(u8, u8),
}

/// The header chunk without the number of tracks, which [`Chunks`] keeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// 0: one track; 1: tracks that sound together; 2: patterns one after the other.
    pub(super) format: u16,
    /// What ticks mean.
    pub(super) timing: Timing,
}

/// The bytes of one track chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrackChunk<'a> {
    /// Offset of its first byte in the file.
    pub(super) offset: usize,
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// True when its length is invalid, so that the track ends at its end-of-track event.
    pub(super) unbounded: bool,
}

/// How far into a file the header is searched for, in bytes: Mac binaries and others put bytes in front of it.
const SEARCHED: usize = 4096;

/// Iterates over the track chunks of a file.
#[derive(Debug)]
pub(super) struct Chunks<'a> {
    file: &'a [u8],
    at: usize,
    declared: usize,
    found: usize,
}

impl<'a> Chunks<'a> {
    /// Reads the wrapper and the header.
    pub(super) fn open(file: &'a [u8], repairs: &mut Vec<Repair>) -> Result<(Header, Self)> {
        let mut start = if file.starts_with(b"RIFF") { riff_data(file)? } else { 0 };
        if file.get(start..start + 4) != Some(b"MThd") {
            start = find(&file[..file.len().min(SEARCHED)], b"MThd").ok_or_else(|| no_midi(start))?;
            repair::note(repairs, Fault::Leading, 0);
        }
        let Some(fields) = file.get(start + 8..start + 14) else {
            return Err(Error::broken(format!("offset {}: the file ends inside its header", file.len())));
        };
        let length = big_endian(&file[start + 4..start + 8]);
        let mut at = file.len().min(start + 8 + length);
        let track_at = |at: usize| file.get(at..at + 4) == Some(b"MTrk");
        if length != 6 && !track_at(at) && track_at(start + 14) {
            at = start + 14;
            repair::note(repairs, Fault::Header, start + 4);
        } else if length < 6 {
            return Err(Error::broken(format!("offset {}: a header of {length} bytes (it has 6)", start + 4)));
        }
        let mut format = u16::from_be_bytes([fields[0], fields[1]]);
        if format > 2 {
            if !track_at(at) {
                return Err(Error::broken(format!("offset {}: format {format} (there are 0, 1 and 2)", start + 8)));
            }
            repair::note(repairs, Fault::Header, start + 8);
            format = 1;
        }
        if (fields[4], fields[5]) == (0, 0) {
            repair::note(repairs, Fault::Division, start + 12);
        }
        let timing = timing(fields[4], fields[5], start + 12)?;
        let declared = usize::from(u16::from_be_bytes([fields[2], fields[3]]));
        Ok((Header { format, timing }, Self { file, at, declared, found: 0 }))
    }

    /// The next track, `None` after the last. Chunks of other types are skipped; bytes after the declared number of
    /// tracks may be anything.
    pub(super) fn next(&mut self, repairs: &mut Vec<Repair>) -> Result<Option<TrackChunk<'a>>> {
        loop {
            let rest = &self.file[self.at..];
            if rest.len() < 8 {
                if self.found == 0 && self.declared > 0 {
                    return Err(self.no_track());
                }
                if self.found < self.declared {
                    repair::note(repairs, Fault::Tracks, self.at);
                }
                return Ok(None);
            }
            let (length, begin) = (big_endian(&rest[4..8]), self.at + 8);
            let (cut, end) = (length > rest.len() - 8, self.file.len().min(begin + length));
            match &rest[..4] {
                b"MTrk" => {
                    self.found += 1;
                    let unbounded = cut || !self.may_end(begin, end);
                    let next = |from: usize| find(&self.file[from..], b"MTrk").map(|i| from + i);
                    let end = if unbounded { next(begin).unwrap_or(self.file.len()) } else { end };
                    self.at = end;
                    return Ok(Some(TrackChunk { offset: begin, bytes: &self.file[begin..end], unbounded }));
                }
                _ if self.found > 0 && self.found >= self.declared => return Ok(None),
                name if !cut && name.iter().all(|b| (b' '..=b'~').contains(b)) => self.at = end,
                _ => match find(rest, b"MTrk") {
                    Some(skipped) => {
                        repair::note(repairs, Fault::Gap, self.at);
                        self.at += skipped;
                    }
                    None if self.found > 0 => self.at = self.file.len(),
                    None => return Err(self.no_track()),
                },
            }
        }
    }

    /// The last chunk ended at this offset, before its declared end.
    pub(super) fn go_on_from(&mut self, at: usize) {
        self.at = at.min(self.file.len());
    }

    /// True when the track that begins and ends here may end here: at the end of the file, before another chunk, or with
    /// an end of track.
    fn may_end(&self, begin: usize, end: usize) -> bool {
        let rest = &self.file[end..];
        let chunk = || {
            rest.len() >= 8
                && rest[..4].iter().all(|b| (b' '..=b'~').contains(b))
                && big_endian(&rest[4..8]) <= rest.len() - 8
        };
        rest.is_empty() || rest.starts_with(b"MTrk") || self.file[begin..end].ends_with(&[0xff, 0x2f, 0]) || chunk()
    }

    fn no_track(&self) -> Error {
        let (at, found, declared) = (self.at, self.found, self.declared);
        Error::broken(format!("offset {at}: no track begins here ({found} of {declared} found so far)"))
            .with_hint("the file is damaged or cut off; export it again")
    }
}

/// Offset of the first occurrence of `wanted`.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|w| w == wanted)
}

fn no_midi(at: usize) -> Error {
    Error::broken(format!("offset {at}: not a MIDI file (it would begin with 'MThd')"))
        .with_hint("a Standard MIDI File ends in .mid or .midi; audio has to be transcribed first")
}

fn timing(high: u8, low: u8, at: usize) -> Result<Timing> {
    match (high, low) {
        (0, 0) => Ok(Timing::Metrical(480)),
        (0..=127, _) => Ok(Timing::Metrical(u16::from_be_bytes([high, low]))),
        _ => match high.wrapping_neg() {
            fps @ (24 | 25 | 29 | 30) if low > 0 => Ok(Timing::Timecode(fps, low)),
            fps => {
                Err(Error::broken(format!("offset {at}: {fps} frames of {low} ticks a second is not an SMPTE timing")))
            }
        },
    }
}

/// Offset of the MIDI file in an RMID file.
fn riff_data(file: &[u8]) -> Result<usize> {
    if file.get(8..12) != Some(b"RMID") {
        return Err(no_midi(0));
    }
    let mut at = 12;
    while let Some(head) = file.get(at..at + 8) {
        if &head[..4] == b"data" {
            return Ok(at + 8);
        }
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        // RIFF chunks begin at even offsets.
        at = at.saturating_add(8).saturating_add(length).saturating_add(length % 2);
    }
    Err(Error::broken(format!("offset {}: a RIFF file without a 'data' chunk", file.len())))
}

fn big_endian(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |n, &b| n << 8 | usize::from(b))
}
