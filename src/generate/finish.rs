//! Converts generated ids to a score: at its tempo and in its metre, behind its prompt, closed at its end.

use std::collections::HashSet;

use crate::generate::{GenerateOptions, Refill};
use crate::harmony::{Chart, ChordAt};
use crate::midi::{Clock, Marker, Meter, Note, Score, Tempo, Track};
use crate::tokens::Tokenizer;

/// The division of a score with a tempo of its own: that of charts.
const TICKS_PER_QUARTER: u32 = Chart::TICKS_PER_QUARTER;

/// The score of the ids of a generated sequence.
///
/// A regenerated part is put into its score, which is unchanged elsewhere. A prompt comes first, unchanged, with all
/// its tracks, tempi and metres; the new notes are added to its first track with notes. Without a prompt the score has
/// the tempo of the options and the metre of the chords, where bars or chords were given; else those of the ids. Notes
/// end where the bars of the options do.
pub fn finish(tokenizer: &Tokenizer, ids: &[u32], options: &GenerateOptions) -> Score {
    let played = tokenizer.decode(ids);
    let counted = options.chords.is_some() || options.bars.is_some();
    if let Some(refill) = &options.refill {
        return refilled(refill, &played);
    }
    match &options.prompt {
        Some(prompt) => behind(prompt, &played, tokenizer),
        None if counted => {
            let chorus = options.chorus();
            let meters = chorus.meters_over(options.bars.unwrap_or(chorus.bars.len()));
            let mut score = at_tempo(played, options.tempo(), meters);
            if let Some(beats) = options.beats() {
                close(&mut score, (beats * f64::from(TICKS_PER_QUARTER)).round() as u32);
            }
            score
        }
        None => played,
    }
}

/// The generated notes and chords, unchanged in seconds, on a grid of one tempo and these metres.
fn at_tempo(played: Score, bpm: f64, meters: Vec<Meter>) -> Score {
    let tempo = Tempo::from_bpm(bpm);
    // Where an encoding has beats, they already are the quarters of the score.
    let quarters = !played.meters.is_empty() && meters.iter().all(|meter| meter.denominator == 4);
    let clock = Clock::new(&played);
    let per_second = f64::from(TICKS_PER_QUARTER) * 1e6 / f64::from(tempo.micros_per_quarter);
    let scale = f64::from(TICKS_PER_QUARTER) / f64::from(played.ticks_per_quarter.max(1));
    let tick = |tick: u32| {
        let exact = if quarters { f64::from(tick) * scale } else { clock.seconds(tick) * per_second };
        exact.round() as u32
    };
    let note = |n: &Note| {
        let start = tick(n.start);
        Note { start, end: tick(n.end).max(start + 1), ..*n }
    };
    let mut score = Score { ticks_per_quarter: TICKS_PER_QUARTER, ..played.clone() };
    score.tempos = vec![tempo];
    score.meters = meters;
    for (track, from) in score.tracks.iter_mut().zip(&played.tracks) {
        track.notes = from.notes.iter().map(note).collect();
        track.notes.sort_unstable();
    }
    for marker in &mut score.markers {
        marker.tick = tick(marker.tick);
    }
    score
}

/// The score with the regenerated part, in its first track with notes.
fn refilled(refill: &Refill, played: &Score) -> Score {
    let mut score = refill.score.clone();
    let clock = Clock::new(&score);
    let (from, to) = (clock.tick(refill.from), clock.tick(refill.to));
    let place = score.tracks.iter().position(|track| !track.notes.is_empty());
    score.tracks.iter_mut().for_each(|track| track.notes.retain(|note| note.start < from || note.start >= to));
    let new = played.sounds().into_iter().filter_map(|s| {
        let start = clock.tick(s.start);
        let end = clock.tick(s.end).min(to).max(start.saturating_add(1));
        (from..to).contains(&start).then_some(Note { start, pitch: s.pitch, end, velocity: s.velocity })
    });
    if let Some(track) = place.map(|place| &mut score.tracks[place]) {
        track.notes.extend(new);
        track.notes.sort_unstable();
    }
    score
}

/// Ends all notes at a tick; those that begin there or later, and chords, are left out.
fn close(score: &mut Score, end: u32) {
    for track in &mut score.tracks {
        track.notes.retain(|note| note.start < end);
        track.notes.iter_mut().for_each(|note| note.end = note.end.min(end));
    }
    score.markers.retain(|marker| marker.tick < end);
}

/// The prompt followed by the generated notes.
fn behind(prompt: &Score, played: &Score, tokenizer: &Tokenizer) -> Score {
    let heard = tokenizer.decode(&tokenizer.encode(prompt));
    let step = |seconds: f64| (100.0 * seconds).round() as u64;
    let known: HashSet<(u64, u8)> = heard.sounds().iter().map(|s| (step(s.start), s.pitch)).collect();
    let clock = Clock::new(prompt);
    let mut score = prompt.clone();
    let place = score.tracks.iter().position(|track| !track.notes.is_empty());
    let place = place.unwrap_or_else(|| {
        score.tracks.push(Track { name: "Piano".to_string(), ..Track::default() });
        score.tracks.len() - 1
    });
    let new = played.sounds().into_iter().filter(|s| !known.contains(&(step(s.start), s.pitch))).map(|s| {
        let start = clock.tick(s.start);
        Note { start, pitch: s.pitch, end: clock.tick(s.end).max(start.saturating_add(1)), velocity: s.velocity }
    });
    let track = &mut score.tracks[place];
    track.notes.extend(new);
    track.notes.sort_unstable();
    let last = heard.sounds().last().map_or(0.0, |s| s.start);
    for ChordAt { seconds, chord, .. } in crate::harmony::chord_markers(played) {
        let marker = Marker { tick: clock.tick(seconds), text: format!("chord:{chord}") };
        if seconds >= last && !score.markers.contains(&marker) {
            score.markers.push(marker);
        }
    }
    score.markers.sort_by_key(|marker| marker.tick);
    score
}
