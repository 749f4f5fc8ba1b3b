//! A score as a piano roll of Unicode blocks.
//!
//! ```text
//!      Cmaj7    Am7
//!   E5┤    ▀▀▀▀▀
//!   C5┤▄▄▄▄     ▄▄▄▄
//!     └┴────────┴────
//!      0s       2s
//! ```
//!
//! When the pitches fit, a line is one pitch and the shade is the velocity (`░▒▓█`); otherwise a line is two pitches,
//! drawn in half blocks (`▀▄█`), or two groups of neighbours when even that is too tall. `┴` is at bar lines.

use super::pitch_name;
use crate::harmony::chord_markers;
use crate::midi::{Clock, Score, Sound};

/// Columns left of the notes: a pitch name and a line.
const GUTTER: usize = 5;

/// Columns from one label of the ruler to the next, at least.
const RULER_GAP: f64 = 8.0;

/// Seconds between two labels of the ruler.
const RULER_STEPS: [f64; 14] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

/// Time from left to right over at most `width` columns, pitch from bottom to top over at most `height` lines, bar
/// lines and a ruler of seconds below, chord markers above. Without a line end.
pub fn piano_roll(score: &Score, width: usize, height: usize) -> String {
    let sounds = score.sounds();
    let range = sounds.iter().map(|s| s.pitch).min().zip(sounds.iter().map(|s| s.pitch).max());
    let Some((low, high)) = range else { return "(no notes)".into() };
    let columns = width.saturating_sub(GUTTER).max(8);
    let end = sounds.iter().fold(0.0, |end: f64, s| end.max(s.end));
    let time = Time { columns, seconds: end.max(1e-3) };

    let mut lines = Vec::new();
    let chords: Vec<(usize, String)> =
        chord_markers(score).into_iter().map(|c| (time.column(c.seconds), c.chord.name())).collect();
    if !chords.is_empty() {
        lines.push(" ".repeat(GUTTER) + labels(&chords, columns).as_str());
    }
    let span = usize::from(high - low) + 1;
    let height = height.max(2);
    if span <= height {
        lines.extend(shaded(&sounds, low, high, &time));
    } else {
        lines.extend(halved(&sounds, low, high, &time, height));
    }
    lines.push(bar_lines(score, &time));
    lines.push(" ".repeat(GUTTER) + labels(&ruler(&time), columns).as_str());
    lines.iter().map(|l| l.trim_end()).collect::<Vec<_>>().join("\n")
}

/// The mapping of seconds to columns.
struct Time {
    columns: usize,
    seconds: f64,
}

impl Time {
    /// The column that holds a moment.
    fn column(&self, seconds: f64) -> usize {
        // The small offset keeps a time on a boundary from falling into the previous column.
        let at = seconds / self.seconds * self.columns as f64 + 1e-9;
        (at.max(0.0) as usize).min(self.columns - 1)
    }

    /// The columns of a note, at least one.
    fn span(&self, sound: &Sound) -> std::ops::Range<usize> {
        let begin = self.column(sound.start);
        let end = (sound.end / self.seconds * self.columns as f64 - 1e-9).ceil() as usize;
        begin..end.clamp(begin + 1, self.columns)
    }
}

/// One pitch a line, velocity as shade.
fn shaded(sounds: &[Sound], low: u8, high: u8, time: &Time) -> Vec<String> {
    let mut loudest = vec![vec![0; time.columns]; usize::from(high - low) + 1];
    for sound in sounds {
        let row = &mut loudest[usize::from(high - sound.pitch)];
        for cell in &mut row[time.span(sound)] {
            *cell = sound.velocity.max(*cell);
        }
    }
    let shade = |velocity: u8| match velocity {
        0 => ' ',
        1..32 => '░',
        32..64 => '▒',
        64..96 => '▓',
        _ => '█',
    };
    (low..=high)
        .rev()
        .zip(loudest)
        .map(|(pitch, row)| {
            let named = pitch == low || pitch == high || pitch % 12 == 0;
            gutter(named.then_some(pitch)) + row.into_iter().map(shade).collect::<String>().as_str()
        })
        .collect()
}

/// Two half lines a line, each for as many neighbouring pitches as needed to fit into `height`.
fn halved(sounds: &[Sound], low: u8, high: u8, time: &Time, height: usize) -> Vec<String> {
    let span = usize::from(high - low) + 1;
    let group = span.div_ceil(2 * height);
    let lines = span.div_ceil(2 * group);
    let mut sounding = vec![vec![false; time.columns]; 2 * lines];
    for sound in sounds {
        let row = &mut sounding[usize::from(high - sound.pitch) / group];
        row[time.span(sound)].fill(true);
    }
    let block = |(above, below): (&bool, &bool)| match (above, below) {
        (false, false) => ' ',
        (true, false) => '▀',
        (false, true) => '▄',
        (true, true) => '█',
    };
    let line = |(i, pair): (usize, &[Vec<bool>])| {
        let top = high - (i * 2 * group) as u8;
        let bottom = top.saturating_sub(2 * group as u8 - 1).max(low);
        let name = match i {
            0 => Some(high),
            _ if i == lines - 1 => Some(low),
            _ => (bottom..=top).rev().find(|pitch| pitch % 12 == 0),
        };
        gutter(name) + pair[0].iter().zip(&pair[1]).map(block).collect::<String>().as_str()
    };
    sounding.chunks(2).enumerate().map(line).collect()
}

fn gutter(pitch: Option<u8>) -> String {
    match pitch {
        Some(pitch) => format!("{:>4}┤", pitch_name(pitch)),
        None => "    │".into(),
    }
}

/// The line below the notes, with a `┴` at bar lines: all of them, or every second, fourth, … when they stand close.
fn bar_lines(score: &Score, time: &Time) -> String {
    let clock = Clock::new(score);
    let bars: Vec<f64> =
        score.bars().into_iter().map(|tick| clock.seconds(tick)).filter(|s| *s < time.seconds).collect();
    let mut every = 1;
    while bars.len() / every * 3 > time.columns {
        every *= 2;
    }
    let mut line = vec!['─'; time.columns];
    for bar in bars.iter().step_by(every) {
        line[time.column(*bar)] = '┴';
    }
    "    └".chars().chain(line).collect()
}

/// Column and text of each label of the ruler.
fn ruler(time: &Time) -> Vec<(usize, String)> {
    let least = RULER_GAP * time.seconds / time.columns as f64;
    let step = RULER_STEPS.into_iter().find(|step| *step >= least).unwrap_or(least);
    let name = |seconds: f64| match () {
        () if time.seconds >= 100.0 => format!("{}:{:02}", seconds as u64 / 60, seconds as u64 % 60),
        () if step < 1.0 => format!("{seconds:.1}s"),
        () => format!("{seconds:.0}s"),
    };
    (0..).map(|i| f64::from(i) * step).take_while(|s| *s < time.seconds).map(|s| (time.column(s), name(s))).collect()
}

/// Labels at their columns; a label that would touch the previous one, or leave the picture, is left out.
fn labels(at: &[(usize, String)], columns: usize) -> String {
    let mut line = String::new();
    let mut used = 0;
    for (column, text) in at {
        let wide = text.chars().count();
        if (used > 0 && *column < used + 1) || column + wide > columns {
            continue;
        }
        line.push_str(&" ".repeat(column - used));
        line.push_str(text);
        used = column + wide;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Marker, Note, Track};

    /// A score of (start, end, pitch, velocity) in quarters at 120 beats a minute.
    fn score(notes: &[(u32, u32, u8, u8)]) -> Score {
        let mut score = Score::new(1);
        let notes = notes.iter().map(|&(start, end, pitch, velocity)| Note { start, pitch, end, velocity }).collect();
        score.tracks.push(Track { notes, ..Track::default() });
        score
    }

    #[test]
    fn few_pitches_show_their_velocity() {
        let melody = score(&[(0, 2, 60, 20), (2, 4, 62, 50), (4, 6, 61, 90), (6, 8, 60, 127)]);
        assert_eq!(
            piano_roll(&melody, 21, 10),
            "
  D4┤    ▒▒▒▒
    │        ▓▓▓▓
  C4┤░░░░        ████
    └┴───────┴───────
     0s      2s"
                .trim_start_matches('\n')
                .trim_end()
        );
    }

    #[test]
    fn many_pitches_share_lines_two_by_two() {
        let scale: Vec<_> = (0..8).map(|i| (i, i + 1, 60 + i as u8, 80)).collect();
        assert_eq!(
            piano_roll(&score(&scale), 21, 4),
            "
  G4┤            ▄▄▀▀
    │        ▄▄▀▀
    │    ▄▄▀▀
  C4┤▄▄▀▀
    └┴───────┴───────
     0s      2s"
                .trim_start_matches('\n')
        );
    }

    #[test]
    fn a_wide_range_keeps_to_the_height() {
        let wide = score(&[(0, 4, 0, 80), (4, 8, 127, 80), (0, 8, 60, 80)]);
        let text = piano_roll(&wide, 40, 6);
        assert_eq!(text.lines().count(), 6 + 2, "{text}");
        assert!(text.lines().all(|l| l.chars().count() <= 40), "{text}");
        assert!(text.starts_with("  G9┤"), "{text}");
        assert!(text.contains(" C-1┤"), "{text}");
        assert!(text.contains("  C4┤"), "{text}");
    }

    #[test]
    fn chords_stand_above_and_never_touch() {
        let mut song = score(&[(0, 16, 60, 80)]);
        song.markers = [(0, "chord:Cmaj7"), (1, "chord:Am7"), (8, "chord:Dm7"), (12, "intro")]
            .map(|(tick, text)| Marker { tick, text: text.into() })
            .into();
        let text = piano_roll(&song, 37, 10);
        assert_eq!(text.lines().next(), Some("     Cmaj7           Dm7"));
    }

    #[test]
    fn long_pieces_count_minutes_and_thin_out_their_bars() {
        let text = piano_roll(&score(&[(0, 1200, 60, 80)]), 45, 10);
        assert!(text.ends_with("\n     0:00    2:00    4:00    6:00    8:00"), "{text}");
        assert!(text.matches('┴').count() <= 14, "{text}");
        assert!(text.matches('┴').count() >= 4, "{text}");
    }

    #[test]
    fn nothing_to_see_is_said() {
        assert_eq!(piano_roll(&Score::new(480), 80, 20), "(no notes)");
        let tiny = piano_roll(&score(&[(0, 1, 60, 1)]), 0, 0);
        assert!(tiny.starts_with("  C4┤░░░░░░░░\n"), "{tiny}");
    }
}
