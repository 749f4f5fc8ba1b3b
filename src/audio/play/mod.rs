//! Renders a score: sends its events to synthesizers in order of time and mixes their samples block by block.

use std::ops::Range;

use rustysynth::{Synthesizer, SynthesizerSettings};

use super::parts::{self, AudioEvent, NOTE_ON};
use super::{Font, Wave};
use crate::error::{Error, Result};
use crate::midi::{Clock, Score};
use crate::progress::Progress;

/// Seconds rendered after the last note, for its release and the reverberation.
const TAIL: f64 = 1.5;
/// The target peak of a piece, and the largest gain.
const PEAK: f32 = 0.89;
const MOST_GAIN: f32 = 8.0;
/// The most seconds rendered into memory at once.
const LONGEST: f64 = 3600.0;
/// Seconds above which a piece is rendered twice, once to find its peak and once to write it.
const AT_ONCE: f64 = if cfg!(test) { 30.0 } else { 600.0 };
/// Blocks a second; cancellation is checked after each synthesizer's share of a block.
const BLOCKS: u32 = 20;
/// Events between two checks for cancellation: a damaged file may have a million at one time.
const CHECK_EVERY: usize = 1024;
/// Polyphony of a synthesizer: a piano needs two voices for each note.
const VOICES: usize = 128;

/// How a score is rendered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Sample rate in Hz, 16,000 to 192,000.
    pub rate: u32,
    /// 1 or 2.
    pub channels: u16,
    /// The most seconds to render.
    pub most_seconds: f64,
    /// True to skip silence of more than five seconds at the beginning.
    pub skip_silence: bool,
}

impl Settings {
    /// Settings for files: 44.1 kHz, stereo, the whole score, aligned with the MIDI file.
    pub const FILE: Self = Self { rate: 44_100, channels: 2, most_seconds: f64::INFINITY, skip_silence: false };
    /// Settings for notebooks: 24 kHz, mono, at most three minutes.
    pub const NOTEBOOK: Self = Self { rate: 24_000, channels: 1, most_seconds: 180.0, skip_silence: true };
}

/// The part of a score that is rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct HeardPart {
    /// Start and end in seconds of the score, with the release after the last note.
    pub span: Range<f64>,
    /// False when the end of the score is left out.
    pub whole: bool,
}

/// The part of a score that `settings` select.
pub fn part(score: &Score, settings: &Settings) -> HeardPart {
    let first = score.tracks.iter().flat_map(|track| &track.notes).map(|note| note.start).min();
    let onset = first.map_or(0.0, |tick| Clock::new(score).seconds(tick));
    let from = if settings.skip_silence && onset > 5.0 { onset - 1.0 } else { 0.0 };
    let end = score.duration();
    if end <= 0.0 {
        return HeardPart { span: 0.0..0.0, whole: true };
    }
    let whole = end + TAIL - from <= settings.most_seconds;
    HeardPart { span: from..if whole { end + TAIL } else { from + settings.most_seconds }, whole }
}

/// Renders a part of a score.
///
/// # Errors
/// `interrupted`, when the user cancels; a part of more than an hour, for which there is [`play_in_blocks`].
pub fn play(score: &Score, font: &Font, part: &HeardPart, settings: &Settings, progress: &Progress) -> Result<Wave> {
    let seconds = part.span.end - part.span.start;
    if seconds > LONGEST {
        return Err(Error::mistake(format!("{:.0} minutes are too long to be held in memory", seconds / 60.0))
            .with_hint("score.audio().save(\"all.mp3\") writes all of it; score.slice(0, 3600).audio() is an hour"));
    }
    let mut player = Player::new(score, font, part, settings, progress)?;
    let mut wave = Wave { rate: settings.rate, channels: settings.channels, samples: Vec::new() };
    wave.samples.reserve(player.frames as usize * usize::from(settings.channels));
    let mut task = progress.task("playing", Some(seconds.ceil() as u64), "seconds");
    while let Some(block) = player.next(progress)? {
        wave.samples.extend_from_slice(block);
        task.advance(player.seconds())?;
    }
    let gain = gain(wave.peak());
    wave.samples.iter_mut().for_each(|s| *s *= gain);
    Ok(wave)
}

/// Renders a part of a score of any length and passes its samples to `sink` block by block, channels interleaved.
///
/// # Errors
/// `interrupted`, when the user cancels; the errors of `sink`.
pub fn play_in_blocks(
    score: &Score,
    font: &Font,
    part: &HeardPart,
    settings: &Settings,
    progress: &Progress,
    sink: &mut dyn FnMut(&[f32]) -> Result<()>,
) -> Result<()> {
    let seconds = part.span.end - part.span.start;
    if seconds <= AT_ONCE {
        let wave = play(score, font, part, settings, progress)?;
        let block = (wave.rate / BLOCKS) as usize * usize::from(wave.channels.max(1));
        return wave.samples.chunks(block.max(1)).try_for_each(|samples| {
            progress.check()?;
            sink(samples)
        });
    }
    let mut peak = 0.0_f32;
    for (title, write) in [("measuring", false), ("playing", true)] {
        let mut player = Player::new(score, font, part, settings, progress)?;
        let mut task = progress.task(title, Some(seconds.ceil() as u64), "seconds");
        let gain = gain(peak);
        while let Some(block) = player.next(progress)? {
            if write {
                block.iter_mut().for_each(|s| *s *= gain);
                sink(block)?;
            } else {
                peak = block.iter().fold(peak, |peak, s| peak.max(s.abs()));
            }
            task.advance(player.seconds())?;
        }
    }
    Ok(())
}

/// The number of frames of a part.
pub(super) fn frames(part: &HeardPart, settings: &Settings) -> u64 {
    ((part.span.end - part.span.start) * f64::from(settings.rate)).ceil() as u64
}

fn gain(peak: f32) -> f32 {
    (PEAK / peak.max(1e-9)).min(MOST_GAIN)
}

/// The synthesizers of a score during rendering.
struct Player {
    rate: u32,
    channels: usize,
    /// Start of the part, in seconds of the score.
    from: f64,
    frames: u64,
    /// Frames rendered.
    at: u64,
    queues: Vec<SynthesizerQueue>,
    block: Vec<f32>,
    left: Vec<f32>,
    right: Vec<f32>,
    /// Whole seconds reported as progress.
    counted: u64,
}

/// A synthesizer and its remaining events.
struct SynthesizerQueue {
    synthesizer: Synthesizer,
    events: Vec<AudioEvent>,
    next: usize,
    /// The program of each channel.
    programs: [Option<u8>; 16],
}

impl Player {
    fn new(score: &Score, font: &Font, part: &HeardPart, settings: &Settings, progress: &Progress) -> Result<Self> {
        let mut queues = Vec::new();
        for part in parts::parts(score, font, progress)? {
            progress.check()?;
            let mut synthesizer = SynthesizerSettings::new(settings.rate as i32);
            synthesizer.maximum_polyphony = VOICES;
            let synthesizer = Synthesizer::new(&font.parts[part.font].sounds, &synthesizer)
                .map_err(|e| Error::mistake(format!("{} samples a second: {e}", settings.rate)))?;
            queues.push(SynthesizerQueue { synthesizer, events: part.events, next: 0, programs: [None; 16] });
        }
        Ok(Self {
            rate: settings.rate,
            channels: usize::from(settings.channels.max(1)),
            from: part.span.start,
            frames: frames(part, settings),
            at: 0,
            queues,
            block: Vec::new(),
            left: Vec::new(),
            right: Vec::new(),
            counted: 0,
        })
    }

    /// The next block of samples, channels interleaved; `None` at the end.
    fn next(&mut self, progress: &Progress) -> Result<Option<&mut [f32]>> {
        let count = (self.frames - self.at).min(u64::from(self.rate / BLOCKS)) as usize;
        if count == 0 {
            return Ok(None);
        }
        self.block.clear();
        self.block.resize(count * self.channels, 0.0);
        for queue in &mut self.queues {
            progress.check()?;
            let mut done = 0;
            while done < count {
                // Sends all events that are due, then renders up to the next one.
                let due = |event: &AudioEvent, rate: u32, from: f64| {
                    ((event.seconds - from).max(0.0) * f64::from(rate)) as u64
                };
                while let Some(event) = queue.events.get(queue.next).copied()
                    && due(&event, self.rate, self.from) <= self.at + done as u64
                {
                    queue.next += 1;
                    if queue.next % CHECK_EVERY == 0 {
                        progress.check()?;
                    }
                    // Notes that end before the part begins are not sent.
                    if event.seconds >= self.from || event.message[0] != NOTE_ON {
                        queue.send(&event);
                    }
                }
                let next = queue.events.get(queue.next).map_or(u64::MAX, |e| due(e, self.rate, self.from) - self.at);
                let until = next.min(count as u64) as usize;
                self.left.resize(until - done, 0.0);
                self.right.resize(until - done, 0.0);
                queue.synthesizer.render(&mut self.left, &mut self.right);
                mix(
                    &mut self.block[done * self.channels..until * self.channels],
                    &self.left,
                    &self.right,
                    self.channels,
                );
                done = until;
            }
        }
        self.at += count as u64;
        Ok(Some(&mut self.block))
    }

    /// Whole seconds rendered since the last call.
    fn seconds(&mut self) -> u64 {
        let seconds =
            if self.at == self.frames { self.at.div_ceil(self.rate.into()) } else { self.at / u64::from(self.rate) };
        let new = seconds - self.counted;
        self.counted = seconds;
        new
    }
}

impl SynthesizerQueue {
    fn send(&mut self, event: &AudioEvent) {
        let [command, a, b] = event.message.map(i32::from);
        for channel in (0..16).filter(|c| event.channels >> c & 1 == 1) {
            if event.message[0] == NOTE_ON && self.programs[channel] != Some(event.program) {
                self.programs[channel] = Some(event.program);
                self.synthesizer.process_midi_message(channel as i32, 0xc0, event.program.into(), 0);
            }
            self.synthesizer.process_midi_message(channel as i32, command, a, b);
        }
    }
}

/// Adds the output of a synthesizer to a block.
fn mix(block: &mut [f32], left: &[f32], right: &[f32], channels: usize) {
    for (frame, (left, right)) in block.chunks_exact_mut(channels).zip(left.iter().zip(right)) {
        match frame {
            [one] => *one += (left + right) / 2.0,
            [a, b, ..] => {
                *a += left;
                *b += right;
            }
            [] => {}
        }
    }
}

#[cfg(test)]
mod tests;
