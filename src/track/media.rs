//! Logged media: pictures, sound, MIDI, text.

use crate::error::{Error, Result};

/// A media item; the bytes are those of a file of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Media {
    /// A PNG.
    Image(Vec<u8>),
    /// A WAV with PCM samples.
    Audio(Vec<u8>),
    /// A standard MIDI file.
    Midi(Vec<u8>),
    /// Plain text.
    Text(String),
}

/// The format of a sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AudioInfo {
    pub(super) rate: u32,
    pub(super) channels: u16,
    pub(super) frames: u32,
}

impl Media {
    /// The extension of its file.
    pub(super) fn ending(&self) -> &'static str {
        match self {
            Self::Image(_) => "png",
            Self::Audio(_) => "wav",
            Self::Midi(_) => "mid",
            Self::Text(_) => "txt",
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Image(bytes) | Self::Audio(bytes) | Self::Midi(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
        }
    }

    /// Refuses bytes that are not a file of the type.
    pub(super) fn check(&self) -> Result<()> {
        let fits = match self {
            Self::Image(bytes) => size(bytes).is_some(),
            Self::Audio(bytes) => sound(bytes).is_some(),
            Self::Midi(bytes) => bytes.starts_with(b"MThd"),
            Self::Text(_) => true,
        };
        let kind = self.ending();
        if fits {
            Ok(())
        } else {
            Err(Error::mistake(format!("these {} bytes are not a .{kind} file", self.bytes().len())))
        }
    }
}

/// Width and height of a PNG, from its first chunk.
pub(super) fn size(png: &[u8]) -> Option<(u32, u32)> {
    let rest = png.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let number = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    (rest.get(4..8)? == b"IHDR").then_some((number(8)?, number(12)?))
}

/// The format of a WAV, from its chunks.
pub(super) fn sound(wav: &[u8]) -> Option<AudioInfo> {
    let mut rest = wav.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WAVE")?;
    let (mut rate, mut channels, mut block) = (0, 0, 0);
    loop {
        let (name, size) = (rest.get(..4)?, u32::from_le_bytes(rest.get(4..8)?.try_into().ok()?));
        let body = rest.get(8..)?;
        match name {
            b"fmt " => {
                channels = u16::from_le_bytes(body.get(2..4)?.try_into().ok()?);
                rate = u32::from_le_bytes(body.get(4..8)?.try_into().ok()?);
                block = u32::from(u16::from_le_bytes(body.get(12..14)?.try_into().ok()?));
            }
            b"data" => return (block > 0).then(|| AudioInfo { rate, channels, frames: size / block }),
            _ => {}
        }
        rest = body.get(size as usize + (size % 2) as usize..)?;
    }
}

/// One red pixel, and 4 frames of silence in mono at 8000 Hz, for tests.
#[cfg(test)]
pub(super) mod samples {
    pub(crate) const PNG: [u8; 69] = [
        137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 144, 119,
        83, 222, 0, 0, 0, 12, 73, 68, 65, 84, 120, 156, 99, 248, 207, 192, 0, 0, 3, 1, 1, 0, 201, 254, 146, 239, 0, 0,
        0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
    ];
    pub(crate) const WAV: [u8; 52] = *b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x08\0\0\0\0\0\0\0\0\0\0\0";
}

#[cfg(test)]
mod tests {
    use super::samples::{PNG, WAV};
    use super::*;

    #[test]
    fn files_say_their_size() {
        assert_eq!(size(&PNG), Some((1, 1)));
        assert_eq!(sound(&WAV), Some(AudioInfo { rate: 8000, channels: 1, frames: 4 }));
    }

    #[test]
    fn other_bytes_are_refused() {
        assert!(Media::Image(PNG.to_vec()).check().is_ok());
        assert!(Media::Audio(WAV.to_vec()).check().is_ok());
        assert!(Media::Text("a solo".into()).check().is_ok());
        for media in [Media::Image(WAV.to_vec()), Media::Audio(PNG[..20].to_vec()), Media::Midi(Vec::new())] {
            assert!(media.check().is_err_and(|e| e.is_mistake()));
        }
        for cut in 0..WAV.len() - 8 {
            assert_eq!(sound(&WAV[..cut]), None);
        }
    }
}
