//! The parts of a system: keys, bar lines, chord names, notes; and the legend of the colours.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::super::axis::{moment, time_step};
use super::super::pitch_name;
use super::super::svg::{Anchor, COLORS, Px, Svg, escape};
use super::labels::{CLASSES, fitting, thinned};
use super::{LEFT, PitchAxis, RIGHT, System, WIDTH};
use crate::error::Result;
use crate::harmony::ChordAt;
use crate::interrupt::Interrupt;
use crate::midi::{Score, Sound};

/// The most notes that are drawn with rounded corners; more would make the SVG large.
const ROUND: usize = 1500;
/// The number of notes from which they are snapped to pixels, each pixel drawn once.
const CROWD: usize = 12_000;
/// Classes of velocity, and the opacity of the softest.
const CLASSES_OF_VELOCITY: usize = 6;
const SOFTEST: f64 = 0.3;
/// Notes between two checks for cancellation.
const LOOK_EVERY: usize = 4096;
/// The most tracks named in the legend, and the most letters of a name.
const NAMED: usize = 6;
const LETTERS: usize = 22;

/// What is needed to draw one system.
pub(super) struct Drawing<'a> {
    pub(super) system: &'a System,
    pub(super) keys: &'a PitchAxis,
    pub(super) hues: &'a Hues,
    pub(super) scale: f64,
    pub(super) end: f64,
}

impl Drawing<'_> {
    fn x(&self, seconds: f64) -> f64 {
        let (from, to) = self.system.seconds;
        LEFT + (seconds.clamp(from, to) - from) * self.scale
    }

    /// Keys, bar lines and both axes.
    pub(super) fn paper(&self, svg: &mut Svg, bars: &[f64]) {
        let ((from, to), (top, bottom)) = (self.system.seconds, self.system.pixels);
        let width = self.x(to) - LEFT;
        self.octaves(svg, width);
        let inside: Vec<(usize, f64)> =
            bars.iter().copied().enumerate().filter(|(_, b)| *b >= from - 1e-6 && *b < to - 1e-6).collect();
        let every = every(inside.len(), width / 9.0);
        let lines: String = inside
            .iter()
            .step_by(every)
            .map(|(_, bar)| format!("M{} {}V{}", Px(self.x(*bar)), Px(top), Px(bottom)))
            .collect();
        svg.rules(&lines, 0.25);
        svg.rules(&format!("M{LEFT} {0}V{1}h{2}V{0}z", Px(top), Px(bottom), Px(width)), 0.4);
        let numbers = self::every(inside.len(), width / 40.0);
        for (number, bar) in inside.iter().step_by(numbers).filter(|(_, bar)| self.x(*bar) < LEFT + width - 16.0) {
            let at = (self.x(*bar) + 3.0, bottom - 3.5);
            svg.styled(at, Anchor::Start, 9.0, " class=\"w\" opacity=\".75\"", &(number + 1).to_string());
        }
        let step = time_step(64.0 / self.scale);
        let first = (from / step - 1e-6).ceil() as u64;
        let mut i = first;
        while i as f64 * step < to - 1e-6 {
            let (x, words) = (self.x(i as f64 * step), moment(i as f64 * step, step, self.end));
            let anchor = if x < LEFT + 14.0 { Anchor::Start } else { Anchor::Middle };
            if x < WIDTH - 30.0 {
                let class = thinned((i - first) as usize, step * self.scale, 3.2);
                svg.styled((x, bottom + 4.0), anchor, 11.0, &format!("{class} dominant-baseline=\"hanging\""), &words);
            }
            i += 1;
        }
    }

    /// The black keys, and the octaves by name.
    fn octaves(&self, svg: &mut Svg, width: f64) {
        let keys = self.keys;
        let (mut black, mut octaves) = (String::new(), String::new());
        for pitch in keys.low..=keys.high {
            let y = self.system.pixels.0 + keys.top(pitch);
            if [1, 3, 6, 8, 10].contains(&(pitch % 12)) {
                let _ = write!(black, "M{LEFT} {}h{}v{}h-{}z", Px(y), Px(width), Px(keys.pixels), Px(width));
            }
            if pitch % 12 == 0 {
                let below = y + keys.pixels;
                let _ = write!(octaves, "M{LEFT} {}h{}", Px(below), Px(width));
                let class = thinned(usize::from(pitch / 12), 12.0 * keys.pixels, 1.0);
                let style = format!("{class} dominant-baseline=\"central\"");
                svg.styled((LEFT - 5.0, below - keys.pixels / 2.0), Anchor::End, 11.0, &style, &pitch_name(pitch));
            }
        }
        svg.raw(format_args!("<path d=\"{black}\" fill-opacity=\".07\"/>"));
        svg.rules(&octaves, 0.28);
    }

    /// Chord names; one that would touch another is left out.
    pub(super) fn chords(&self, svg: &mut Svg, chords: &[ChordAt]) {
        let (from, to) = self.system.seconds;
        // A system begins with the chord that continues from the previous one.
        let first = chords.partition_point(|c| c.seconds <= from + 1e-6).saturating_sub(1);
        let here = chords[first..].iter().take_while(|c| c.seconds < to - 1e-6);
        let names: Vec<(f64, String)> = here.map(|at| (self.x(at.seconds) + 1.5, at.chord.name())).collect();
        let mut strokes = String::new();
        for ((x, name), shown) in names.iter().zip(fitting(&names, WIDTH)) {
            let Some(level) = shown else { continue };
            let style = format!("{} font-weight=\"600\"", CLASSES[level]);
            svg.styled((*x, self.system.pixels.0 - 6.0), Anchor::Start, 13.0, &style, name);
            let _ = write!(strokes, "M{} {}v5", Px(x - 1.5), Px(self.system.pixels.0 - 5.0));
        }
        svg.rules(&strokes, 0.7);
    }

    pub(super) fn notes(&self, svg: &mut Svg, sounds: &[Sound], interrupt: &Interrupt) -> Result<()> {
        let ((from, to), (top, _)) = (self.system.seconds, self.system.pixels);
        let here = sounds.iter().enumerate().filter(|(_, s)| s.start < to && s.end > from);
        let box_of = |s: &Sound| {
            let (x, end) = (self.x(s.start), self.x(s.end));
            // A small gap keeps repeated notes apart.
            (x, top + self.keys.top(s.pitch), (end - x - 0.8).max(1.4), self.keys.pixels)
        };
        if sounds.len() <= ROUND {
            for (_, sound) in here {
                let (x, y, w, h) = box_of(sound);
                let radius = Px((h / 3.0).min(w / 2.0).min(2.5));
                let style = format!(
                    " rx=\"{radius}\" fill=\"{}\" fill-opacity=\"{}\"",
                    self.hues.of_track(sound.track),
                    strength(sound.velocity)
                );
                svg.rect((x, y + 0.3), (w, h - 0.6), &style);
            }
            return Ok(());
        }
        let mut strokes = vec![BTreeSet::new(); CLASSES_OF_VELOCITY * COLORS.len()];
        let crowd = sounds.len() > CROWD;
        let round = |x: f64| if crowd { (x.round() * 10.0) as i32 } else { (x * 10.0).round() as i32 };
        for (i, sound) in here {
            if i % LOOK_EVERY == 0 {
                interrupt.check()?;
            }
            let (x, y, w, h) = box_of(sound);
            let kind = self.hues.index(sound.track) * CLASSES_OF_VELOCITY + class(sound.velocity);
            strokes[kind].insert((round(x), ((y + h / 2.0) * 10.0) as i32, round(w).max(10)));
        }
        let px = |tenths: i32| Px(f64::from(tenths) / 10.0);
        let thick = Px((self.keys.pixels - 0.4).max(1.6));
        for (kind, strokes) in strokes.iter().enumerate() {
            let data: String = strokes.iter().map(|&(x, y, w)| format!("M{} {}h{}", px(x), px(y), px(w))).collect();
            let (hue, opacity) = (COLORS[kind / CLASSES_OF_VELOCITY], opacity(kind % CLASSES_OF_VELOCITY));
            svg.path(&data, &format!(" stroke=\"{hue}\" stroke-opacity=\"{opacity}\" stroke-width=\"{thick}\""));
        }
        Ok(())
    }
}

/// The step, a power of two, at which `count` items in a row fit into `room`.
fn every(count: usize, room: f64) -> usize {
    let mut every = 1;
    while (count / every) as f64 > room {
        every *= 2;
    }
    every
}

fn class(velocity: u8) -> usize {
    usize::from(velocity.min(127)) * CLASSES_OF_VELOCITY / 128
}

fn opacity(class: usize) -> String {
    let share = class as f64 / (CLASSES_OF_VELOCITY - 1) as f64;
    format!("{:.2}", SOFTEST + (1.0 - SOFTEST) * share)
}

/// The opacity of a note, by velocity.
pub(super) fn strength(velocity: u8) -> String {
    opacity(class(velocity))
}

/// The hue of each track.
pub(super) struct Hues {
    /// Index of the hue by track.
    indices: Vec<usize>,
    /// The names of the tracks that have notes.
    names: Vec<String>,
}

impl Hues {
    pub(super) fn of(score: &Score) -> Self {
        let mut names = Vec::new();
        let mut indices = Vec::new();
        for track in &score.tracks {
            indices.push(names.len() % COLORS.len());
            if !track.notes.is_empty() {
                let name = track.name.trim().trim_end_matches(':');
                names.push(if name.is_empty() { format!("track {}", names.len() + 1) } else { name.into() });
            }
        }
        Self { indices, names }
    }

    fn index(&self, track: usize) -> usize {
        self.indices.get(track).copied().unwrap_or(0)
    }

    fn of_track(&self, track: usize) -> &'static str {
        COLORS[self.index(track)]
    }

    /// The legend of the colours: one text, so that it flows at any font size.
    pub(super) fn legend(&self, svg: &mut Svg, y: f64) {
        let mut words = String::new();
        if self.names.len() > 1 {
            for (i, name) in self.names.iter().enumerate().take(NAMED) {
                let more = if name.chars().count() > LETTERS { "…" } else { "" };
                let name: String = name.chars().take(LETTERS).collect();
                let hue = COLORS[i % COLORS.len()];
                let _ = write!(words, "<tspan fill=\"{hue}\">■</tspan> {}{more}\u{2003}", escape(&name));
            }
            if self.names.len() > NAMED {
                let _ = write!(words, "… {} more\u{2003}", self.names.len() - NAMED);
            }
        }
        words += "soft ";
        for class in 0..CLASSES_OF_VELOCITY {
            let (hue, opacity) = (COLORS[0], opacity(class));
            let _ = write!(words, "<tspan fill=\"{hue}\" fill-opacity=\"{opacity}\">■</tspan>");
        }
        let (x, y) = (Px(WIDTH - RIGHT), Px(y + 16.0));
        svg.raw(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"11\" text-anchor=\"end\" dominant-baseline=\"central\">{words} loud</text>"
        ));
    }
}
