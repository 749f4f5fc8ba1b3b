//! Sound files: WAV and MP3, written block by block, however long the piece is.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::encode::Mp3;
use super::play::{self, HeardPart, Settings};
use super::{Font, wave};
use crate::atomic;
use crate::error::{Error, Result};
use crate::midi::Score;
use crate::progress::Progress;

/// The file extensions of sound files.
pub const ENDINGS: [&str; 2] = ["wav", "mp3"];

/// Bit rate of MP3 files, in kilobits a second.
const KBPS: u32 = 160;

/// Writes all of a score as sound, by the ending of the path: `.wav` (16 bits) or `.mp3`.
///
/// # Errors
/// Another ending; a piece that is too long for a WAV file (4 GiB, 6.7 hours); `interrupted`, when the user cancels;
/// what the file system refuses.
pub fn save(score: &Score, font: &Font, path: &Path, progress: &Progress) -> Result<()> {
    let settings = Settings::FILE;
    let part = play::part(score, &settings);
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    match ending.as_str() {
        "wav" => wav(score, font, &part, path, progress),
        "mp3" => mp3(score, font, &part, path, progress),
        _ => Err(Error::mistake(format!("sound is saved as .wav or .mp3, not as {}", path.display()))
            .with_hint(format!("save(\"{}\")", path.with_extension("mp3").display()))),
    }
}

fn wav(score: &Score, font: &Font, part: &HeardPart, path: &Path, progress: &Progress) -> Result<()> {
    let settings = Settings::FILE;
    let size = play::frames(part, &settings) * 2 * u64::from(settings.channels);
    let Some(size) = u32::try_from(size).ok().filter(|s| *s <= u32::MAX - wave::HEADER) else {
        let hours = (part.span.end - part.span.start) / 3600.0;
        let message = format!("{hours:.1} hours are too long for {}: a WAV file ends at 4 GiB", path.display());
        return Err(Error::mistake(message).with_hint(format!(
            "save(\"{}\"), or slice(0, 20000) is a part of it",
            path.with_extension("mp3").display()
        )));
    };
    written(path, |file| {
        let mut bytes = wave::header(settings.rate, settings.channels, size);
        play::play_in_blocks(score, font, part, &settings, progress, &mut |samples| {
            wave::pcm(samples, &mut bytes);
            flush(file, &mut bytes, path)
        })?;
        flush(file, &mut bytes, path)
    })
}

fn mp3(score: &Score, font: &Font, part: &HeardPart, path: &Path, progress: &Progress) -> Result<()> {
    let settings = Settings::FILE;
    written(path, |file| {
        let (mut encoder, mut bytes) = (Mp3::new(KBPS, settings.rate, settings.channels), Vec::new());
        play::play_in_blocks(score, font, part, &settings, progress, &mut |samples| {
            encoder.push(samples, &mut bytes)?;
            flush(file, &mut bytes, path)
        })?;
        encoder.finish(&mut bytes);
        flush(file, &mut bytes, path)
    })
}

/// Writes a file block by block through a temporary file, so that it is complete or not there.
fn written(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut stopped = None;
    let kept = atomic::write_with(path, |place| {
        let mut file = OpenOptions::new().write(true).truncate(true).open(place)?;
        fill(&mut file).map_err(|error| {
            stopped = Some(error);
            io::Error::other("the sound was not made")
        })
    });
    stopped.map_or(kept, Err)
}

fn flush(file: &mut dyn Write, bytes: &mut Vec<u8>, path: &Path) -> Result<()> {
    file.write_all(bytes).map_err(|e| Error::io("cannot write", path, e))?;
    bytes.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Note, Track};

    #[test]
    fn a_file_lines_up_with_its_midi() {
        let folder = tempfile::tempdir().expect("a folder");
        let font = Font::built_in().expect("the built-in font");
        let mut score = Score::new(100);
        // Two quarters a second: the note begins after six seconds.
        let notes = vec![Note { start: 1200, pitch: 60, end: 1400, velocity: 90 }];
        score.tracks.push(Track { notes, ..Track::default() });
        let path = folder.path().join("x.WAV");
        save(&score, &font, &path, &Progress::silent()).expect("saved");
        let bytes = std::fs::read(&path).expect("there");
        assert_eq!(bytes.len(), 44 + 4 * (8.5 * 44_100.0) as usize);
        let first = bytes[44..].chunks_exact(4).position(|f| i16::from_le_bytes([f[0], f[1]]).abs() > 300);
        let seconds = first.expect("it sounds") as f64 / 44_100.0;
        assert!((5.99..6.05).contains(&seconds), "{seconds}");
        assert!(save(&score, &font, &folder.path().join("x.ogg"), &Progress::silent()).is_err());
    }

    #[test]
    fn a_day_is_refused_as_wav_before_it_is_played() {
        let mut score = Score::new(1);
        score
            .tracks
            .push(Track { notes: vec![Note { start: 0, pitch: 60, end: 172_800, velocity: 90 }], ..Track::default() });
        let font = Font::built_in().expect("the built-in font");
        let folder = tempfile::tempdir().expect("a folder");
        let error = save(&score, &font, &folder.path().join("x.wav"), &Progress::silent()).expect_err("a day");
        assert!(error.message().contains("24.0 hours") && error.hint().is_some_and(|h| h.contains(".mp3")), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0);
    }
}
