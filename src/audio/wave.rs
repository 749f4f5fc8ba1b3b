//! Samples, and their form as a file: RIFF/WAVE with 16-bit PCM (Microsoft, "Multimedia Programming Interface and Data
//! Specifications 1.0", 1991).

/// Bytes before the samples of a WAV file.
pub(super) const HEADER: u32 = 44;

/// Audio samples between −1 and 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Wave {
    /// Sample rate in Hz.
    pub rate: u32,
    /// 1 or 2.
    pub channels: u16,
    /// The samples, channels interleaved.
    pub samples: Vec<f32>,
}

impl Wave {
    /// Length in seconds.
    pub fn duration(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.channels.max(1)) / f64::from(self.rate.max(1))
    }

    /// The largest absolute value.
    pub fn peak(&self) -> f32 {
        self.samples.iter().fold(0.0, |peak, s| peak.max(s.abs()))
    }

    /// The bytes of a WAV file.
    ///
    /// ```
    /// use etude::audio::Wave;
    ///
    /// let wave = Wave { rate: 8000, channels: 1, samples: vec![0.0; 8000] };
    /// assert_eq!((wave.duration(), wave.wav().len()), (1.0, 44 + 16_000));
    /// ```
    pub fn wav(&self) -> Vec<u8> {
        let mut bytes = header(self.rate, self.channels, 2 * self.samples.len() as u32);
        bytes.reserve(2 * self.samples.len());
        pcm(&self.samples, &mut bytes);
        bytes
    }
}

/// The header of a WAV file with `size` bytes of samples.
pub(super) fn header(rate: u32, channels: u16, size: u32) -> Vec<u8> {
    let frame = 2 * channels;
    let mut bytes = Vec::with_capacity(HEADER as usize);
    bytes.extend(b"RIFF");
    bytes.extend((HEADER - 8 + size).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * u32::from(frame)).to_le_bytes());
    bytes.extend(frame.to_le_bytes());
    bytes.extend(16_u16.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(size.to_le_bytes());
    bytes
}

/// Appends the samples as 16-bit PCM.
pub(super) fn pcm(samples: &[f32], bytes: &mut Vec<u8>) {
    bytes.extend(samples.iter().flat_map(|s| ((s.clamp(-1.0, 1.0) * 32767.0).round() as i16).to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wav_file_says_what_it_holds() {
        let wave = Wave { rate: 8000, channels: 2, samples: vec![0.0, 1.0, -1.0, 2.0] };
        let bytes = wave.wav();
        assert_eq!(bytes.len(), 44 + 8);
        assert_eq!(&bytes[..4], b"RIFF");
        assert_eq!(u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize, bytes.len() - 8);
        assert_eq!(&bytes[22..36], [2, 0, 0x40, 0x1f, 0, 0, 0, 0x7d, 0, 0, 4, 0, 16, 0]);
        assert_eq!(&bytes[44..], [0, 0, 0xff, 0x7f, 0x01, 0x80, 0xff, 0x7f]);
        assert!((wave.duration() - 2.0 / 8000.0).abs() < 1e-12);
    }
}
