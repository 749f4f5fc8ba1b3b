//! A score played: events in time order into a synthesizer, samples out of it.

use std::collections::BTreeMap;
use std::ops::Range;

use rustysynth::{Synthesizer, SynthesizerSettings};

use super::{Font, Wave};
use crate::error::{Error, Result};
use crate::midi::{Clock, Score};
use crate::progress::Progress;

/// How long strings and room sound on after the last note, in seconds.
const TAIL: f64 = 1.5;
/// The largest sample of a piece, and how much a quiet piece is made louder at most.
const PEAK: f32 = 0.89;
const MOST_GAIN: f32 = 8.0;
/// No more seconds are rendered at once: they are held in memory.
const LONGEST: f64 = 3600.0;
/// Channel of drums (General MIDI), and all others.
const DRUM_CHANNEL: u8 = 9;
const CHANNELS: [u8; 15] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15];

/// MIDI commands and controllers.
const NOTE_OFF: i32 = 0x80;
const NOTE_ON: i32 = 0x90;
const CONTROL: i32 = 0xB0;
const PROGRAM: i32 = 0xC0;
const PEDAL: i32 = 0x40;

/// How a score is rendered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Samples a second, 16,000 to 192,000.
    pub rate: u32,
    /// 1 or 2.
    pub channels: u16,
    /// Seconds rendered at most.
    pub most_seconds: f64,
}

impl Settings {
    /// What files are written with: 44.1 kHz, stereo.
    pub const FILE: Self = Self { rate: 44_100, channels: 2, most_seconds: LONGEST };
    /// What notebooks are given: 24 kHz, mono, three minutes.
    pub const NOTEBOOK: Self = Self { rate: 24_000, channels: 1, most_seconds: 180.0 };
}

/// Which part of a score is heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// From where to where, in seconds of the score, what sounds on after the last note included.
    pub span: Range<f64>,
    /// False when something is left out at the end.
    pub whole: bool,
}

/// The part that `settings` let through: silence of more than five seconds at the beginning is passed over.
pub fn part(score: &Score, settings: &Settings) -> Part {
    let onset = score.sounds().first().map_or(0.0, |s| s.start);
    let from = if onset > 5.0 { onset - 1.0 } else { 0.0 };
    let end = score.duration();
    if end <= 0.0 {
        return Part { span: 0.0..0.0, whole: true };
    }
    let whole = end + TAIL - from <= settings.most_seconds;
    Part { span: from..if whole { end + TAIL } else { from + settings.most_seconds }, whole }
}

/// Something that happens at a moment.
struct Event {
    seconds: f64,
    /// What ends comes before what begins.
    rank: u8,
    channel: u8,
    message: [i32; 3],
}

/// Plays a part of a score.
///
/// # Errors
/// A stop; a part of more than an hour.
pub fn play(score: &Score, font: &Font, part: &Part, settings: &Settings, progress: &Progress) -> Result<Wave> {
    let (Part { span, .. }, &Settings { rate, channels, .. }) = (part, settings);
    let seconds = span.end - span.start;
    if seconds > LONGEST {
        return Err(Error::mistake(format!("{:.0} minutes are too long to be rendered at once", seconds / 60.0))
            .with_hint("take an hour of it: score.slice(0, 3600).audio()"));
    }
    let frames = (seconds * f64::from(rate)).ceil() as usize;
    let mut wave = Wave { rate, channels, samples: vec![0.0; frames * usize::from(channels)] };
    let mut task = progress.task("playing", Some(seconds.ceil() as u64), "seconds");
    for (first, (index, events)) in parts(score, font).into_iter().enumerate() {
        let counts = u64::from(first == 0);
        let synthesizer = SynthesizerSettings::new(rate as i32);
        let synthesizer = Synthesizer::new(&font.parts[index].sounds, &synthesizer);
        let synthesizer = synthesizer.map_err(|e| Error::mistake(format!("{rate} samples a second: {e}")))?;
        let mut stage = Stage { synthesizer, wave: &mut wave, left: Vec::new(), right: Vec::new(), at: 0 };
        let mut second = 1;
        for event in events {
            let at = ((event.seconds - span.start).clamp(0.0, seconds) * f64::from(rate)) as usize;
            while stage.at < at.min(frames) {
                stage.render(at.min(second * rate as usize));
                if stage.at == second * rate as usize {
                    second += 1;
                    task.advance(counts)?;
                }
            }
            // What ended before the part begins is not even struck.
            if event.seconds >= span.start || event.message[0] != NOTE_ON {
                stage.send(&event);
            }
        }
        while stage.at < frames {
            stage.render(frames.min(stage.at + rate as usize));
            task.advance(counts)?;
        }
    }
    let gain = (PEAK / wave.peak().max(1e-9)).min(MOST_GAIN);
    wave.samples.iter_mut().for_each(|s| *s *= gain);
    Ok(wave)
}

/// The events of each part of the font, in time order. Every track has a channel of its own as long as there are any.
fn parts(score: &Score, font: &Font) -> BTreeMap<usize, Vec<Event>> {
    let clock = Clock::new(score);
    let mut parts: BTreeMap<usize, Vec<Event>> = BTreeMap::new();
    let sounding = score.tracks.iter().filter(|t| !t.notes.is_empty());
    let mut free = CHANNELS.iter().cycle();
    for track in sounding {
        let drums = track.channel == DRUM_CHANNEL;
        let Some((index, program)) = font.instrument(track.program, drums) else { continue };
        let channel = if drums { DRUM_CHANNEL } else { free.next().copied().unwrap_or(0) };
        let events = parts.entry(index).or_default();
        let event = |tick: u32, rank: u8, message| Event { seconds: clock.seconds(tick), rank, channel, message };
        events.push(event(0, 0, [PROGRAM, program, 0]));
        for note in &track.notes {
            let pitch = i32::from(note.pitch);
            events.push(event(note.start, 3, [NOTE_ON, pitch, i32::from(note.velocity)]));
            events.push(event(note.end, 1, [NOTE_OFF, pitch, 0]));
        }
        for pedal in &track.pedals {
            events.push(event(pedal.end, 1, [CONTROL, PEDAL, 0]));
            events.push(event(pedal.start, 2, [CONTROL, PEDAL, 127]));
        }
    }
    for events in parts.values_mut() {
        events.sort_by(|a, b| a.seconds.total_cmp(&b.seconds).then(a.rank.cmp(&b.rank)));
    }
    parts
}

/// A synthesizer and what it has played so far.
struct Stage<'a> {
    synthesizer: Synthesizer,
    wave: &'a mut Wave,
    left: Vec<f32>,
    right: Vec<f32>,
    /// Frames rendered.
    at: usize,
}

impl Stage<'_> {
    /// Renders up to a frame, on top of what is there.
    fn render(&mut self, until: usize) {
        let count = until - self.at;
        self.left.resize(count, 0.0);
        self.right.resize(count, 0.0);
        self.synthesizer.render(&mut self.left, &mut self.right);
        let channels = usize::from(self.wave.channels);
        let frames = self.wave.samples[self.at * channels..until * channels].chunks_exact_mut(channels);
        for (frame, (left, right)) in frames.zip(self.left.iter().zip(&self.right)) {
            match frame {
                [one] => *one += (left + right) / 2.0,
                [a, b, ..] => {
                    *a += left;
                    *b += right;
                }
                [] => {}
            }
        }
        self.at = until;
    }

    fn send(&mut self, event: &Event) {
        let [command, a, b] = event.message;
        self.synthesizer.process_midi_message(i32::from(event.channel), command, a, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Note, Tempo, Track};

    const RATE: u32 = 24_000;

    /// A score of (start, end, pitch) in hundredths of a second, on one instrument.
    fn score(program: u8, notes: &[(u32, u32, u8)]) -> Score {
        let mut score = Score::new(100);
        score.tempos.push(Tempo::from_bpm(60.0));
        let notes = notes.iter().map(|&(start, end, pitch)| Note { start, pitch, end, velocity: 90 }).collect();
        score.tracks.push(Track { program, notes, ..Track::default() });
        score
    }

    fn played(score: &Score, settings: &Settings) -> Wave {
        let font = Font::built_in().expect("the built-in font");
        play(score, &font, &part(score, settings), settings, &Progress::silent()).expect("played")
    }

    /// The lag in samples after which a wave is most like itself, between 20 and 2000 Hz, to a fraction.
    fn period(samples: &[f32]) -> f64 {
        let like = |lag: usize| -> f64 {
            let count = samples.len() - 1300;
            samples[..count].iter().zip(&samples[lag..]).map(|(a, b)| f64::from(a * b)).sum()
        };
        let likeness: Vec<f64> = (0..1200).map(like).collect();
        // The first peak that is about as high as the highest: later ones are multiples.
        let most = likeness[12..].iter().copied().fold(0.0, f64::max);
        let peak = (12..1199)
            .find(|&i| likeness[i] > 0.85 * most && likeness[i] >= likeness[i - 1] && likeness[i] >= likeness[i + 1]);
        let i = peak.expect("a peak");
        let (a, b, c) = (likeness[i - 1], likeness[i], likeness[i + 1]);
        i as f64 + (a - c) / (2.0 * (a - 2.0 * b + c))
    }

    #[test]
    fn notes_sound_at_their_pitch() {
        for (program, pitch) in [(0, 45), (0, 60), (0, 69), (33, 40), (65, 65), (26, 52)] {
            let wave = played(&score(program, &[(0, 100, pitch)]), &Settings::NOTEBOOK);
            let hertz = f64::from(RATE) / period(&wave.samples[4800..14_400]);
            let cents = 1200.0 * (hertz / (440.0 * ((f64::from(pitch) - 69.0) / 12.0).exp2())).log2();
            assert!(cents.abs() < 25.0, "program {program}, pitch {pitch}: {hertz} Hz is {cents} cents off");
        }
    }

    #[test]
    fn a_wave_lasts_as_long_as_its_score_and_its_tail() {
        let wave = played(&score(0, &[(0, 200, 60)]), &Settings::NOTEBOOK);
        assert!((wave.duration() - 3.5).abs() < 0.01, "{}", wave.duration());
        assert!((0.3..=PEAK).contains(&wave.peak()), "{}", wave.peak());
        let stereo = played(&score(0, &[(0, 200, 60)]), &Settings::FILE);
        assert_eq!((stereo.channels, stereo.rate), (2, 44_100));
        assert!((stereo.duration() - 3.5).abs() < 0.01);
    }

    #[test]
    fn nothing_is_silent_and_short() {
        let wave = played(&Score::new(480), &Settings::NOTEBOOK);
        assert!(wave.samples.is_empty());
        // Drums without a kit are left out.
        let mut drums = score(0, &[(0, 100, 38)]);
        drums.tracks[0].channel = DRUM_CHANNEL;
        assert_eq!(played(&drums, &Settings::NOTEBOOK).peak(), 0.0);
    }

    #[test]
    fn a_long_piece_is_cut_and_silence_before_it_is_passed_over() {
        let long = score(0, &[(2000, 2100, 60), (40_000, 40_100, 62)]);
        let cut = part(&long, &Settings::NOTEBOOK);
        assert_eq!(cut, Part { span: 19.0..199.0, whole: false });
        assert!((played(&long, &Settings { most_seconds: 2.0, ..Settings::NOTEBOOK }).duration() - 2.0).abs() < 0.01);
        assert!(part(&long, &Settings::FILE).whole);
    }

    #[test]
    fn a_score_sounds_the_same_each_time_and_a_stop_ends_it() {
        let chord = score(0, &[(0, 100, 60), (0, 100, 64), (50, 150, 67)]);
        assert_eq!(played(&chord, &Settings::NOTEBOOK), played(&chord, &Settings::NOTEBOOK));
        let progress = Progress::silent();
        progress.interrupt().trigger();
        let settings = Settings::NOTEBOOK;
        let font = Font::built_in().expect("the built-in font");
        let stopped = play(&chord, &font, &part(&chord, &settings), &settings, &progress);
        assert!(stopped.is_err_and(|e| e.is_interrupted()));
    }

    #[test]
    fn the_pedal_keeps_a_note_sounding() {
        // The pedal keeps the first note alive where it would be silent.
        let mut held = score(0, &[(0, 20, 60)]);
        let dry = played(&held, &Settings::NOTEBOOK);
        held.tracks[0].pedals.push(crate::midi::Pedal { start: 0, end: 100 });
        let wet = played(&held, &Settings::NOTEBOOK);
        let loud = |wave: &Wave| wave.samples[16_000..20_000].iter().map(|s| s.abs()).sum::<f32>() / wave.peak();
        assert!(loud(&wet) > 3.0 * loud(&dry), "{} {}", loud(&wet), loud(&dry));
    }
}
