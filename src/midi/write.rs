//! Standard MIDI Files out: format 1, a conductor track and one track a part.

use std::path::Path;

use crate::error::Result;
use crate::midi::Score;

impl Score {
    /// Writes a MIDI file, atomically.
    ///
    /// # Errors
    /// Names the path when the file system refuses.
    pub fn write(&self, _path: impl AsRef<Path>) -> Result<()> {
        todo!()
    }

    /// The bytes of a MIDI file (format 1) that reads back as this score.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }
}
