//! MP3: MPEG audio layer III (ISO/IEC 11172-3, 13818-3).

use rusty_mp3::{Mp3Encoder, Mp3EncoderConfig};

use crate::audio::Wave;
use crate::error::{Error, Result};
use crate::progress::Progress;

/// An MP3 encoder that is fed samples block by block.
#[derive(Debug)]
pub struct Mp3 {
    encoder: Encoder,
    rate: u32,
    channels: u16,
}

/// The LAME encoder, wrapped because it does not implement `Debug`.
struct Encoder(Mp3Encoder);

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Mp3 {
    /// An encoder at `kbps` kilobits a second, over all channels.
    pub fn new(kbps: u32, rate: u32, channels: u16) -> Self {
        let encoder = Mp3Encoder::new(Mp3EncoderConfig { bitrate_kbps: kbps, vbr_quality: None });
        Self { encoder: Encoder(encoder), rate, channels }
    }

    /// Encodes samples and appends the finished MP3 frames to `bytes`.
    ///
    /// # Errors
    /// A sample rate that MP3 does not have (it has 8, 11.025, 12, 16, 22.05, 24, 32, 44.1 and 48 kHz).
    pub fn push(&mut self, samples: &[f32], bytes: &mut Vec<u8>) -> Result<()> {
        let pushed = self.encoder.0.push_pcm_f32(samples, self.channels, self.rate);
        pushed.map_err(|e| Error::internal(e.to_string()))?;
        self.packets(bytes);
        Ok(())
    }

    /// Appends the last frames.
    pub fn finish(&mut self, bytes: &mut Vec<u8>) {
        self.encoder.0.finish();
        self.packets(bytes);
    }

    fn packets(&mut self, bytes: &mut Vec<u8>) {
        while let Ok(packet) = self.encoder.0.next_packet() {
            bytes.extend_from_slice(&packet);
        }
    }
}

/// The wave as MP3 at `kbps` kilobits a second, over all channels.
///
/// # Errors
/// `interrupted`, when the user cancels; see [`Mp3::push`].
pub fn mp3(wave: &Wave, kbps: u32, progress: &Progress) -> Result<Vec<u8>> {
    let mut encoder = Mp3::new(kbps, wave.rate, wave.channels);
    let block = wave.rate as usize / 8 * usize::from(wave.channels);
    let mut bytes = Vec::new();
    for samples in wave.samples.chunks(block.max(1)) {
        progress.check()?;
        encoder.push(samples, &mut bytes)?;
    }
    encoder.finish(&mut bytes);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rusty_mp3::Mp3Decoder;

    use super::*;

    fn decoded(bytes: &[u8]) -> Vec<f32> {
        let mut decoder = Mp3Decoder::new();
        decoder.push(bytes);
        decoder.flush();
        std::iter::from_fn(|| decoder.next_frame().ok()).flat_map(|frame| frame.samples.to_vec()).collect()
    }

    #[test]
    fn what_is_encoded_comes_back() {
        let tone = |i: u32| (f64::from(i) * 440.0 * std::f64::consts::TAU / 24_000.0).sin() as f32 * 0.5;
        let wave = Wave { rate: 24_000, channels: 1, samples: (0..48_000).map(tone).collect() };
        let bytes = mp3(&wave, 40, &Progress::silent()).expect("an encoding");
        assert!((9_000..12_000).contains(&bytes.len()), "{} bytes in two seconds", bytes.len());
        let back = decoded(&bytes);
        assert!(back.len() >= wave.samples.len(), "{} samples", back.len());
        // The codec delays; the phase is found by trying.
        let error = |delay: usize| -> f32 {
            (10_000..20_000).map(|i| (wave.samples[i] - back[i + delay]).powi(2)).sum::<f32>() / 10_000.0
        };
        let least = (0..3000).map(error).fold(f32::INFINITY, f32::min);
        assert!(least < 1e-4, "{least}");
    }

    #[test]
    fn a_stop_ends_it() {
        let progress = Progress::silent();
        progress.interrupt().trigger();
        let wave = Wave { rate: 24_000, channels: 1, samples: vec![0.0; 100_000] };
        assert!(mp3(&wave, 40, &progress).is_err_and(|e| e.is_interrupted()));
    }
}
