//! A score as a piano roll in SVG: time from left to right, pitch from bottom to top, a hue for each track (the hands of a
//! pianist), the stronger the louder, chord names above, bar lines, and the time below. A long piece is broken into
//! systems, at bar lines, as on paper.
//!
//! The picture is as wide as a page; where it is shown narrower, a style sheet in it makes the letters larger and hides
//! the labels that then would touch others.

mod drawing;
mod labels;

use super::svg::Svg;
use crate::error::Result;
use crate::harmony::ChordAt;
use crate::interrupt::Interrupt;
use crate::midi::{Clock, Score, Sound};
use drawing::{Drawing, Hues};

/// The width of the picture, and what is kept free beside the notes, in pixels.
const WIDTH: f64 = 1200.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 10.0;
/// Seconds of a system at most, where the piece is not too long for it, and systems at most.
const SYSTEM: f64 = 28.0;
const MOST_SYSTEMS: f64 = 6.0;
/// Pixels above the notes of a system for chord names, below for the time, between two systems, and for the legend.
const ABOVE: f64 = 27.0;
const BELOW: f64 = 32.0;
const BETWEEN: f64 = 8.0;
const LEGEND: f64 = 30.0;

/// A horizontal strip of the roll with a time span of the piece.
#[derive(Debug, Clone, PartialEq)]
pub struct System {
    /// Start and end in seconds.
    pub seconds: (f64, f64),
    /// Upper and lower end in pixels.
    pub pixels: (f64, f64),
}

/// A drawn piano roll, with the mapping from time to position.
#[derive(Debug, Clone, PartialEq)]
pub struct Roll {
    /// The picture as SVG; the same score gives the same bytes.
    pub svg: String,
    /// Width and height of the picture, in pixels.
    pub size: (f64, f64),
    /// Its systems, the first at the top.
    pub systems: Vec<System>,
    /// Where systems begin, in pixels from the left.
    pub left: f64,
    /// Pixels a second.
    pub scale: f64,
}

/// Draws a score with its chords; `None` when it has no notes. Silence of more than five seconds at the beginning is
/// left out.
///
/// # Errors
/// [`interrupted`](crate::error::Error::interrupted), when the user cancels.
pub fn roll(score: &Score, chords: &[ChordAt], interrupt: &Interrupt) -> Result<Option<Roll>> {
    interrupt.check()?;
    let sounds = score.sounds();
    interrupt.check()?;
    let Some(onset) = sounds.first().map(|s| s.start) else { return Ok(None) };
    let begin = if onset > 5.0 { onset - 1.0 } else { 0.0 };
    let end = sounds.iter().fold(0.0, |end: f64, s| end.max(s.end)).max(begin + 0.5);
    let clock = Clock::new(score);
    let bars: Vec<f64> = score.bars().into_iter().map(|tick| clock.seconds(tick)).collect();
    let spans = spans(begin, end, &bars);
    let longest = spans.iter().fold(0.1, |most: f64, (a, b)| most.max(b - a));
    let scale = (WIDTH - LEFT - RIGHT) / longest;
    let keys = PitchAxis::of(&sounds, spans.len());
    let hues = Hues::of(score);
    let mut svg = Svg::new(WIDTH, 0.0);
    svg.set_css(labels::CSS);
    let mut systems = Vec::new();
    let mut y = 0.0;
    for &seconds in &spans {
        let sounds_here = |c: &ChordAt| c.seconds < seconds.1 - 1e-6;
        let top = y + if chords.iter().any(sounds_here) { ABOVE } else { 6.0 };
        let system = System { seconds, pixels: (top, top + keys.height()) };
        let drawing = Drawing { system: &system, keys: &keys, hues: &hues, scale, end };
        drawing.paper(&mut svg, &bars);
        drawing.chords(&mut svg, chords);
        drawing.notes(&mut svg, &sounds, interrupt)?;
        y = system.pixels.1 + BELOW + BETWEEN;
        systems.push(system);
    }
    hues.legend(&mut svg, y - BETWEEN);
    let height = y - BETWEEN + LEGEND;
    svg.set_height(height);
    Ok(Some(Roll { svg: svg.finish(), size: (WIDTH, height), systems, left: LEFT, scale }))
}

/// The systems in seconds: of about the same length, broken at bar lines.
fn spans(begin: f64, end: f64, bars: &[f64]) -> Vec<(f64, f64)> {
    let count = ((end - begin) / SYSTEM).ceil().clamp(1.0, MOST_SYSTEMS);
    // A little more than an equal share, so that breaking at bar lines does not add a system with only the last bar.
    let share = (end - begin) / count * if count > 1.0 { 1.04 } else { 1.0 };
    let mut spans = Vec::new();
    let mut from = begin;
    while from < end - 1e-6 {
        let latest = from + share;
        let to = match bars.partition_point(|b| *b <= latest + 1e-6).checked_sub(1).map(|i| bars[i]) {
            _ if latest >= end - 1e-6 => end,
            Some(bar) if bar > from + share / 2.0 => bar,
            _ => latest,
        };
        spans.push((from, to));
        from = to;
    }
    spans
}

/// The range of pitches drawn, and the height of each.
struct PitchAxis {
    low: u8,
    high: u8,
    pixels: f64,
}

impl PitchAxis {
    fn of(sounds: &[Sound], systems: usize) -> Self {
        let pitches = || sounds.iter().map(|s| s.pitch.min(127));
        let (low, high) = (pitches().min().unwrap_or(60), pitches().max().unwrap_or(60));
        let lack = 14_u8.saturating_sub(high - low) / 2;
        let (low, high) = (low.saturating_sub(1 + lack), (high + 1 + lack).min(127));
        let room = match systems {
            1 => 300.0,
            2 => 230.0,
            _ => 170.0,
        };
        Self { low, high, pixels: (room / f64::from(high - low + 1)).clamp(2.0, 11.0) }
    }

    fn height(&self) -> f64 {
        f64::from(self.high - self.low + 1) * self.pixels
    }

    /// The upper end of a key, from the upper end of the system.
    fn top(&self, pitch: u8) -> f64 {
        f64::from(self.high.saturating_sub(pitch)) * self.pixels
    }
}

#[cfg(test)]
mod tests {
    use super::super::svg::COLORS;
    use super::drawing::strength;
    use super::*;
    use crate::midi::{Note, Track};

    /// A score of tracks of (start, end, pitch, velocity) in quarters at 120 beats a minute.
    fn score(tracks: &[&[(u32, u32, u8, u8)]]) -> Score {
        let mut score = Score::new(1);
        for (i, notes) in tracks.iter().enumerate() {
            let notes =
                notes.iter().map(|&(start, end, pitch, velocity)| Note { start, pitch, end, velocity }).collect();
            score.tracks.push(Track { notes, name: format!("hand {i}"), ..Track::default() });
        }
        score
    }

    fn drawn(score: &Score) -> Roll {
        roll(score, &[], &Interrupt::new()).expect("no interrupt").expect("notes")
    }

    #[test]
    fn a_note_has_a_place_the_hue_of_its_track_and_the_strength_of_its_velocity() {
        let roll = drawn(&score(&[&[(0, 2, 60, 127)], &[(2, 4, 64, 1)]]));
        assert_eq!(roll.systems.len(), 1);
        assert_eq!(roll.systems[0].seconds, (0.0, 2.0));
        assert!((roll.scale - 572.0).abs() < 1e-9, "{}", roll.scale);
        let loud = format!("<rect x=\"46\" y=\"{}\"", roll.systems[0].pixels.0 + 8.0 * 11.0 + 0.5);
        let svg = &roll.svg;
        let at = |hue: &str, velocity: u8| format!("fill=\"{hue}\" fill-opacity=\"{}\"", strength(velocity));
        assert!(svg.contains(&at(COLORS[0], 127)) && svg.contains(&at(COLORS[1], 1)), "{loud} {svg}");
        for word in ["hand 0", "hand 1", "soft", "loud"] {
            assert!(svg.contains(word), "no {word} in the legend: {svg}");
        }
        let alone = drawn(&score(&[&[(0, 2, 60, 127)]]));
        assert!(!alone.svg.contains("hand 0"), "one track needs no name");
    }

    #[test]
    fn a_long_piece_breaks_at_bar_lines() {
        let roll = drawn(&score(&[&[(0, 1, 60, 80), (239, 240, 60, 80)]]));
        // Two minutes of bars of two seconds.
        assert_eq!(roll.systems.len(), 5);
        for pair in roll.systems.windows(2) {
            assert_eq!(pair[0].seconds.1, pair[1].seconds.0);
            assert!((pair[0].seconds.1 % 2.0).abs() < 1e-6, "{:?}", pair[0]);
            assert!(pair[0].pixels.1 < pair[1].pixels.0);
        }
        assert!(roll.systems.iter().all(|s| s.pixels.1 < roll.size.1));
    }

    #[test]
    fn silence_at_the_beginning_is_left_out() {
        let late = drawn(&score(&[&[(400, 402, 60, 80)]]));
        assert!((late.systems[0].seconds.0 - 199.0).abs() < 1e-9);
        assert_eq!(roll(&Score::new(480), &[], &Interrupt::new()).expect("no interrupt"), None);
    }

    #[test]
    fn many_notes_do_not_make_a_heavy_picture() {
        let notes: Vec<_> = (0..60_000).map(|i| (i, i + 3, (i * 7 % 88 + 21) as u8, (i % 127 + 1) as u8)).collect();
        let svg = drawn(&score(&[&notes])).svg;
        assert!(svg.len() < 700_000, "{} bytes", svg.len());
        let damaged = drawn(&score(&[&[(0, u32::MAX, 0, 80), (5, 6, 127, 80)]])).svg;
        assert!(damaged.len() < 100_000 && !damaged.contains("NaN") && !damaged.contains("inf"));
    }

    #[test]
    fn a_stop_ends_the_drawing() {
        let stopped = Interrupt::new();
        stopped.trigger();
        let error = roll(&score(&[&[(0, 1, 60, 80)]]), &[], &stopped).expect_err("it was stopped");
        assert!(error.is_interrupted());
    }
}
