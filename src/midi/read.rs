//! Standard MIDI Files in: formats 0, 1 and 2, PPQ and SMPTE timing, RIFF-wrapped or not.

use std::path::Path;

use crate::error::Result;
use crate::midi::Score;

impl Score {
    /// Reads a MIDI file.
    ///
    /// # Errors
    /// Names the file and the offset of the first byte that makes no sense.
    pub fn read(_path: impl AsRef<Path>) -> Result<Self> {
        todo!()
    }

    /// Reads a MIDI file from memory.
    ///
    /// # Errors
    /// Names the offset of the first byte that makes no sense. Any input ends in bounded time and memory.
    pub fn from_bytes(_bytes: &[u8]) -> Result<Self> {
        todo!()
    }
}
