//! A score as a piano roll in SVG: time from left to right, pitch from bottom to top, the velocity as colour, chord names
//! above, bar lines, and the time below. A long piece is broken into systems, at bar lines, as on paper.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::axis::{moment, time_step};
use super::pitch_name;
use super::svg::{Anchor, Px, Svg};
use crate::harmony::ChordAt;
use crate::midi::{Clock, Score, Sound};

/// The width of the picture, and what is kept free beside the notes, in pixels.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 38.0;
const RIGHT: f64 = 10.0;
/// Seconds of a system at most, where the piece is not too long for it, and systems at most.
const SYSTEM: f64 = 24.0;
const MOST_SYSTEMS: f64 = 6.0;
/// Pixels above the notes of a system for chord names, below for the time, and between two systems.
const ABOVE: f64 = 16.0;
const BELOW: f64 = 15.0;
const BETWEEN: f64 = 10.0;
/// So many notes have a name when the mouse is on them; more would make the picture heavy.
const NAMED: usize = 600;
/// From so many notes on they are drawn to the pixel, each pixel once.
const CROWD: usize = 12_000;
/// Classes of velocity, and the colours from soft to loud between which they lie.
const CLASSES: usize = 8;
const STOPS: [[f64; 3]; 4] = [[74.0, 144.0, 226.0], [146.0, 104.0, 220.0], [222.0, 80.0, 140.0], [240.0, 104.0, 44.0]];

/// A stretch of the piece that is drawn in one go.
#[derive(Debug, Clone, PartialEq)]
pub struct System {
    /// Its first and last moment, in seconds.
    pub seconds: (f64, f64),
    /// Its upper and lower end, in pixels.
    pub pixels: (f64, f64),
}

/// The picture, and where in it a moment stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Roll {
    /// The picture as SVG; the same score gives the same bytes.
    pub svg: String,
    /// Its systems, the first at the top.
    pub systems: Vec<System>,
    /// Where systems begin, in pixels from the left.
    pub left: f64,
    /// Pixels a second.
    pub scale: f64,
}

/// Draws a score with its chords; `None` when it has no notes. Silence of more than five seconds at the beginning is
/// left out.
pub fn roll(score: &Score, chords: &[ChordAt]) -> Option<Roll> {
    let sounds = score.sounds();
    let onset = sounds.first()?.start;
    let begin = if onset > 5.0 { onset - 1.0 } else { 0.0 };
    let end = sounds.iter().fold(0.0, |end: f64, s| end.max(s.end)).max(begin + 0.5);
    let clock = Clock::new(score);
    let bars: Vec<f64> = score.bars().into_iter().map(|tick| clock.seconds(tick)).collect();
    let spans = spans(begin, end, &bars);
    let longest = spans.iter().fold(0.1, |most: f64, (a, b)| most.max(b - a));
    let scale = (WIDTH - LEFT - RIGHT) / longest;
    let keys = Keys::of(&sounds, spans.len());
    let mut svg = Svg::new(WIDTH, 0.0);
    let mut systems = Vec::new();
    let mut y = 0.0;
    for &seconds in &spans {
        let sounds_here = |c: &ChordAt| c.seconds < seconds.1 - 1e-6;
        let top = y + if chords.iter().any(sounds_here) { ABOVE } else { 6.0 };
        let system = System { seconds, pixels: (top, top + keys.height()) };
        let drawing = Drawing { system: &system, keys: &keys, scale, end };
        drawing.paper(&mut svg, &bars);
        drawing.chords(&mut svg, chords);
        drawing.notes(&mut svg, &sounds);
        y = system.pixels.1 + BELOW + BETWEEN;
        systems.push(system);
    }
    legend(&mut svg, y);
    svg.set_height(y + 12.0);
    Some(Roll { svg: svg.finish(), systems, left: LEFT, scale })
}

/// The systems in seconds: of about the same length, broken at bar lines.
fn spans(begin: f64, end: f64, bars: &[f64]) -> Vec<(f64, f64)> {
    let count = ((end - begin) / SYSTEM).ceil().clamp(1.0, MOST_SYSTEMS);
    // A little more than an equal share, so that breaks at bar lines do not add a system with the last bar alone.
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

/// The pitches that are drawn, and how tall each is.
struct Keys {
    low: u8,
    high: u8,
    pixels: f64,
}

impl Keys {
    fn of(sounds: &[Sound], systems: usize) -> Self {
        let pitches = || sounds.iter().map(|s| s.pitch.min(127));
        let (low, high) = (pitches().min().unwrap_or(60), pitches().max().unwrap_or(60));
        let lack = 14_u8.saturating_sub(high - low) / 2;
        let (low, high) = (low.saturating_sub(1 + lack), (high + 1 + lack).min(127));
        let room = match systems {
            1 => 250.0,
            2 => 190.0,
            _ => 140.0,
        };
        Self { low, high, pixels: (room / f64::from(high - low + 1)).clamp(2.0, 9.0) }
    }

    fn height(&self) -> f64 {
        f64::from(self.high - self.low + 1) * self.pixels
    }

    /// The upper end of a key, from the upper end of the system.
    fn top(&self, pitch: u8) -> f64 {
        f64::from(self.high.saturating_sub(pitch)) * self.pixels
    }
}

/// What is drawn in one system.
struct Drawing<'a> {
    system: &'a System,
    keys: &'a Keys,
    scale: f64,
    end: f64,
}

impl Drawing<'_> {
    fn x(&self, seconds: f64) -> f64 {
        let (from, to) = self.system.seconds;
        LEFT + (seconds.clamp(from, to) - from) * self.scale
    }

    /// Keys, bar lines and both axes.
    fn paper(&self, svg: &mut Svg, bars: &[f64]) {
        let ((from, to), (top, bottom)) = (self.system.seconds, self.system.pixels);
        let width = self.x(to) - LEFT;
        let keys = self.keys;
        let mut black = String::new();
        let mut octaves = String::new();
        for pitch in keys.low..=keys.high {
            let y = top + keys.top(pitch);
            if [1, 3, 6, 8, 10].contains(&(pitch % 12)) {
                let _ = write!(black, "M{LEFT} {}h{}v{}h-{}z", Px(y), Px(width), Px(keys.pixels), Px(width));
            }
            if pitch % 12 == 0 {
                let below = y + keys.pixels;
                let _ = write!(octaves, "M{LEFT} {}h{}", Px(below), Px(width));
                svg.styled((LEFT - 5.0, below - keys.pixels / 2.0 + 3.2), Anchor::End, 9.0, "", &pitch_name(pitch));
            }
        }
        svg.raw(format_args!("<path d=\"{black}\" fill-opacity=\".055\"/>"));
        svg.rules(&octaves, 0.22);
        let inside: Vec<(usize, f64)> =
            bars.iter().copied().enumerate().filter(|(_, b)| *b >= from - 1e-6 && *b < to - 1e-6).collect();
        let every = thinned(inside.len(), width / 9.0);
        let lines: Vec<f64> = inside.iter().step_by(every).map(|(_, bar)| self.x(*bar)).collect();
        let lines: String = lines.iter().map(|x| format!("M{} {}V{}", Px(*x), Px(top), Px(bottom))).collect();
        svg.rules(&lines, 0.2);
        svg.rules(&format!("M{LEFT} {0}V{1}h{2}V{0}z", Px(top), Px(bottom), Px(width)), 0.35);
        let numbers = thinned(inside.len(), width / 40.0);
        for (number, bar) in inside.iter().step_by(numbers).filter(|(_, bar)| self.x(*bar) < LEFT + width - 12.0) {
            svg.styled(
                (self.x(*bar) + 2.0, bottom - 2.5),
                Anchor::Start,
                7.5,
                " opacity=\".55\"",
                &(number + 1).to_string(),
            );
        }
        let step = time_step(64.0 / self.scale);
        // No number is −0.
        let mut i = (from / step - 1e-6).ceil() + 0.0;
        while i * step < to - 1e-6 {
            let x = self.x(i * step);
            let anchor = if x < LEFT + 10.0 { Anchor::Start } else { Anchor::Middle };
            if x < WIDTH - 16.0 {
                svg.styled((x, bottom + 11.5), anchor, 9.0, " opacity=\".8\"", &moment(i * step, step, self.end));
            }
            i += 1.0;
        }
    }

    /// Chord names; one that would touch the name before it is left out.
    fn chords(&self, svg: &mut Svg, chords: &[ChordAt]) {
        let (from, to) = self.system.seconds;
        let mut free = LEFT - 1.0;
        let mut strokes = String::new();
        // A system begins with the chord that goes on from the one before.
        let first = chords.partition_point(|c| c.seconds <= from + 1e-6).saturating_sub(1);
        for at in chords[first..].iter().take_while(|c| c.seconds < to - 1e-6) {
            let (x, name) = (self.x(at.seconds), at.chord.name());
            let wide = 6.6 * name.chars().count() as f64;
            if x < free || x + wide > WIDTH {
                continue;
            }
            svg.styled((x + 1.5, self.system.pixels.0 - 4.0), Anchor::Start, 11.0, " font-weight=\"600\"", &name);
            let _ = write!(strokes, "M{} {}v5", Px(x), Px(self.system.pixels.0 - 5.0));
            free = x + wide + 7.0;
        }
        svg.rules(&strokes, 0.6);
    }

    fn notes(&self, svg: &mut Svg, sounds: &[Sound]) {
        let ((from, to), (top, _)) = (self.system.seconds, self.system.pixels);
        let here = sounds.iter().filter(|s| s.start < to && s.end > from);
        let box_of = |s: &Sound| {
            let (x, end) = (self.x(s.start), self.x(s.end));
            // A hair of space keeps repeated notes apart.
            (x, top + self.keys.top(s.pitch), (end - x - 0.6).max(1.2), self.keys.pixels)
        };
        if sounds.len() <= NAMED {
            for sound in here {
                let (x, y, w, h) = box_of(sound);
                let (color, radius) = (color(class(sound.velocity)), Px((h / 3.0).min(w / 2.0).min(2.5)));
                let (x, y, w, h) = (Px(x), Px(y + 0.3), Px(w), Px(h - 0.6));
                let name = pitch_name(sound.pitch);
                let (start, end, velocity) = (sound.start, sound.end, sound.velocity);
                svg.raw(format_args!(
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{radius}\" fill=\"{color}\">\
                     <title>{name} velocity {velocity}, {start:.2} to {end:.2} s</title></rect>"
                ));
            }
            return;
        }
        let mut strokes = vec![BTreeSet::new(); CLASSES];
        let crowd = sounds.len() > CROWD;
        let round = |x: f64| if crowd { (x.round() * 10.0) as i32 } else { (x * 10.0).round() as i32 };
        for sound in here {
            let (x, y, w, h) = box_of(sound);
            strokes[class(sound.velocity)].insert((round(x), ((y + h / 2.0) * 10.0) as i32, round(w).max(10)));
        }
        let px = |tenths: i32| Px(f64::from(tenths) / 10.0);
        let thick = Px((self.keys.pixels - 0.4).max(1.6));
        for (class, strokes) in strokes.iter().enumerate() {
            let mut data = String::new();
            for &(x, y, w) in strokes {
                let _ = write!(data, "M{} {}h{}", px(x), px(y), px(w));
            }
            svg.path(&data, &format!(" stroke=\"{}\" stroke-width=\"{thick}\"", color(class)));
        }
    }
}

/// Of `count` things in a row, every how many'th leaves no more than `room`: 1, 2, 4, 8, …
fn thinned(count: usize, room: f64) -> usize {
    let mut every = 1;
    while (count / every) as f64 > room {
        every *= 2;
    }
    every
}

fn class(velocity: u8) -> usize {
    usize::from(velocity.min(127)) * CLASSES / 128
}

fn color(class: usize) -> String {
    let at = class as f64 / (CLASSES - 1) as f64 * (STOPS.len() - 1) as f64;
    let low = (at as usize).min(STOPS.len() - 2);
    let mix = |i: usize| (STOPS[low][i] + (STOPS[low + 1][i] - STOPS[low][i]) * (at - low as f64)).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2))
}

/// What the colours mean, below on the right.
fn legend(svg: &mut Svg, y: f64) {
    let (wide, y) = (12.0, y - 4.0);
    let x = WIDTH - RIGHT - 26.0 - wide * CLASSES as f64;
    svg.styled((x - 5.0, y + 7.0), Anchor::End, 9.0, " opacity=\".8\"", "velocity: soft");
    for class in 0..CLASSES {
        svg.rect((x + wide * class as f64, y), (wide - 1.0, 8.0), &format!(" fill=\"{}\"", color(class)));
    }
    svg.styled((WIDTH - RIGHT - 22.0, y + 7.0), Anchor::Start, 9.0, " opacity=\".8\"", "loud");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Note, Track};

    /// A score of (start, end, pitch, velocity) in quarters at 120 beats a minute.
    fn score(notes: &[(u32, u32, u8, u8)]) -> Score {
        let mut score = Score::new(1);
        let notes = notes.iter().map(|&(start, end, pitch, velocity)| Note { start, pitch, end, velocity }).collect();
        score.tracks.push(Track { notes, ..Track::default() });
        score
    }

    #[test]
    fn a_note_has_a_place_a_colour_and_a_name() {
        let roll = roll(&score(&[(0, 2, 60, 127), (2, 4, 64, 1)]), &[]).expect("notes");
        assert_eq!(roll.systems.len(), 1);
        assert_eq!(roll.systems[0].seconds, (0.0, 2.0));
        assert!((roll.scale - 456.0).abs() < 1e-9, "{}", roll.scale);
        assert!(roll.svg.contains("fill=\"#f0682c\"><title>C4 velocity 127, 0.00 to 1.00 s"), "{}", roll.svg);
        assert!(roll.svg.contains("fill=\"#4a90e2\"><title>E4 velocity 1, 1.00 to 2.00 s"));
    }

    #[test]
    fn a_long_piece_breaks_at_bar_lines() {
        let roll = roll(&score(&[(0, 1, 60, 80), (239, 240, 60, 80)]), &[]).expect("notes");
        // Two minutes of bars of two seconds.
        assert_eq!(roll.systems.len(), 5);
        for pair in roll.systems.windows(2) {
            assert_eq!(pair[0].seconds.1, pair[1].seconds.0);
            assert!((pair[0].seconds.1 % 2.0).abs() < 1e-6, "{:?}", pair[0]);
            assert!(pair[0].pixels.1 < pair[1].pixels.0);
        }
    }

    #[test]
    fn silence_at_the_beginning_is_left_out() {
        let roll = roll(&score(&[(400, 402, 60, 80)]), &[]).expect("notes");
        assert!((roll.systems[0].seconds.0 - 199.0).abs() < 1e-9);
        assert_eq!(super::roll(&Score::new(480), &[]), None);
    }

    #[test]
    fn many_notes_do_not_make_a_heavy_picture() {
        let notes: Vec<_> = (0..60_000).map(|i| (i, i + 3, (i * 7 % 88 + 21) as u8, (i % 127 + 1) as u8)).collect();
        let svg = roll(&score(&notes), &[]).expect("notes").svg;
        assert!(svg.len() < 700_000, "{} bytes", svg.len());
        let damaged = roll(&score(&[(0, u32::MAX, 0, 80), (5, 6, 127, 80)]), &[]).expect("notes").svg;
        assert!(damaged.len() < 100_000 && !damaged.contains("NaN") && !damaged.contains("inf"));
    }
}
