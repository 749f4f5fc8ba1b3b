//! Fits `tables.bin` to files whose markers hold their chords, by gradient ascent on the likelihood of the known path:
//! `ETUDE_CHORD_DATA=FOLDER cargo test --release --lib recognize::learn -- --ignored --nocapture`.
//!
//! The tables that are built in are of 24 passes and, after kinds of evidence were added, of 6 and 7 more
//! (`ETUDE_CHORD_GO_ON=1`).

use super::benchmark::{Corpus, Labelled, labelled};
use super::evidence::{Evidence, KINDS, When, evidence, when};
use super::model::{ChordModel, QUALITIES, STATES, Scores, WEIGHTS};
use super::windows::{Place, Window, free_windows, windows};
use crate::harmony::{ChordAt, ChordClass, Quality, chord_markers};
use crate::interrupt::Interrupt;
use crate::midi::Score;
use std::io::Write as _;

/// The state of each window by the markers; `None` where there is no chord.
fn labels(windows: &[Window], chords: &[ChordAt], end: u32) -> Vec<Option<usize>> {
    let state = |(i, window): (usize, &Window)| {
        let until = windows.get(i + 1).map_or(end, |w| w.start);
        let middle = window.start + (until.saturating_sub(window.start)) / 2;
        let at = chords.partition_point(|c| c.tick <= middle).checked_sub(1)?;
        match chords[at].chord.class() {
            ChordClass::None => None,
            ChordClass::Some { root, quality } => {
                let quality = Quality::ALL.iter().position(|q| *q == quality)?;
                Some(12 * quality + usize::from(root))
            }
        }
    };
    windows.iter().enumerate().map(state).collect()
}

/// Windows that all have a chord, one after the other.
struct Example {
    evidence: Vec<Evidence>,
    places: Vec<Place>,
    states: Vec<usize>,
}

/// The labelled stretches of a score.
fn examples(score: &Score, chords: &[ChordAt], free: bool) -> Vec<Example> {
    let windows = if free { free_windows(score) } else { windows(score, &Interrupt::new()).expect("nobody cancels") };
    let states = labels(&windows, chords, score.end());
    let evidence = evidence(&windows, &Interrupt::new()).expect("nobody cancels");
    let mut examples: Vec<Example> = Vec::new();
    for i in 0..windows.len() {
        let Some(state) = states[i] else { continue };
        if i == 0 || states[i - 1].is_none() {
            examples.push(Example { evidence: Vec::new(), places: Vec::new(), states: Vec::new() });
        }
        let Some(last) = examples.last_mut() else { continue };
        last.evidence.push(evidence[i]);
        last.places.push(windows[i].place);
        last.states.push(state);
    }
    examples.retain(|e| e.states.len() > 4);
    examples
}

/// Pseudo-random numbers below 1 (xorshift).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The chords of a track one note after the other, as broken chords are played.
fn broken(score: &mut Score, track: usize, step: u32) {
    let Some(track) = score.tracks.get_mut(track) else { return };
    let (mut at, mut count) = (u32::MAX, 0);
    for note in &mut track.notes {
        (at, count) = if note.start == at { (at, count + 1) } else { (note.start, 0) };
        note.start = (note.start + count * step).min(note.end - 1);
    }
    track.notes.sort_unstable();
}

/// Leaves the root out of the upper voices.
fn rootless(score: &mut Score, track: usize, chords: &[ChordAt]) {
    let Some(track) = score.tracks.get_mut(track) else { return };
    track.notes.retain(|note| {
        let at = chords.partition_point(|c| c.tick <= note.start).checked_sub(1);
        let root = at.and_then(|i| chords[i].chord.root()).map(|r| r.pitch_class());
        note.pitch < 52 || root != Some(note.pitch % 12)
    });
}

/// Training examples of a file for one pass: some of its tracks, as they are, as broken chords, or without a beat.
fn lesson(file: &Labelled, dice: &mut Dice) -> Vec<Example> {
    let chords = chord_markers(&file.score);
    let (choice, texture, time) = (dice.next(), dice.next(), dice.next());
    let mut score = match file.corpus {
        Corpus::Solos if choice < 0.5 => file.with(&[1, 3]),
        Corpus::Solos if choice < 0.8 => file.with(&[2, 3]),
        Corpus::Solos => file.with(&[1, 2, 3]),
        Corpus::LeadSheets if choice < 0.2 => file.with(&[0, 2, 3]),
        Corpus::LeadSheets => file.with(&[0, 1, 2, 3]),
    };
    if texture < 0.15 {
        broken(&mut score, 2, if dice.next() < 0.5 { 120 } else { 240 });
    } else if texture < 0.25 && file.corpus == Corpus::LeadSheets {
        rootless(&mut score, 2, &chords);
    }
    examples(&score, &chords, time < 0.1)
}

/// Index of a weight.
fn table(kind: usize, state: usize, class: usize) -> usize {
    kind * STATES + 12 * (state / 12) + (class + 12 - state % 12) % 12
}

fn succession(before: usize, after: usize) -> usize {
    KINDS * STATES + before / 12 * STATES + 12 * (after / 12) + (after % 12 + 12 - before % 12) % 12
}

const START: usize = KINDS * STATES + QUALITIES * STATES;
const CHANGE: usize = START + QUALITIES;

/// Adds the evidence of a window, as the first of a chord or not, for states of some probability.
fn observe(gradient: &mut [f32], evidence: &Evidence, begins: bool, masses: impl Iterator<Item = (usize, f32)>) {
    let kinds: Vec<usize> = (0..KINDS)
        .filter(|k| when(*k) != if begins { When::Later } else { When::First })
        .filter(|k| evidence[*k].iter().any(|e| *e != 0.0))
        .collect();
    for (state, mass) in masses.filter(|m| m.1.abs() > 3e-4) {
        for &kind in &kinds {
            for class in 0..12 {
                gradient[table(kind, state, class)] += mass * evidence[kind][class];
            }
        }
    }
}

/// Adds the feature counts of the known path.
fn observed(example: &Example, gradient: &mut [f32]) {
    for (i, &state) in example.states.iter().enumerate() {
        let begins = i == 0 || example.states[i - 1] != state;
        observe(gradient, &example.evidence[i], begins, std::iter::once((state, 1.0)));
        if i == 0 {
            gradient[START + state / 12] += 1.0;
        } else if begins {
            gradient[succession(example.states[i - 1], state)] += 1.0;
            gradient[CHANGE + example.places[i] as usize] += 1.0;
        }
    }
}

/// Subtracts the feature counts that the model expects.
fn expected(example: &Example, model: &ChordModel, gradient: &mut [f32]) {
    let lattice = super::path::Lattice::of(&example.evidence, &example.places, model, &Interrupt::new());
    let lattice = lattice.expect("nobody cancels");
    let visited = lattice.sums(&Interrupt::new(), |i, begins, stays, before| {
        let negative = |p: &Scores| p.iter().map(|p| -p).enumerate().collect::<Vec<_>>();
        observe(gradient, &example.evidence[i], true, negative(begins).into_iter());
        observe(gradient, &example.evidence[i], false, negative(stays).into_iter());
        if i == 0 {
            begins.iter().enumerate().for_each(|(state, p)| gradient[START + state / 12] -= p);
            return;
        }
        gradient[CHANGE + example.places[i] as usize] -= begins.iter().sum::<f32>();
        // Of each change the share of every state before it.
        for (after, &mass) in begins.iter().enumerate().filter(|(_, m)| **m > 1e-3) {
            let share = |from: usize| before.0[from] * before.1[from][after];
            let total: f32 = (0..STATES).map(share).sum();
            if total > 0.0 {
                (0..STATES).for_each(|from| gradient[succession(from, after)] -= mass * share(from) / total);
            }
        }
    });
    visited.expect("nobody cancels");
}

/// Weights as sums of shared parameters: what is common to all qualities, or to a group of them, is learnt from all of
/// their data, and the specific part is kept small.
struct SharedParameters {
    /// For each weight the parameters whose sum it is, its own first.
    parts: Vec<Vec<usize>>,
    parameters: usize,
}

/// Major, dominant, minor, diminished.
fn group(quality: usize) -> usize {
    match Quality::ALL[quality] {
        Quality::Major | Quality::Six | Quality::MajorSeven | Quality::Augmented => 0,
        Quality::Seven | Quality::Altered | Quality::Suspended => 1,
        Quality::Minor | Quality::MinorSix | Quality::MinorSeven | Quality::MinorMajor => 2,
        Quality::HalfDiminished | Quality::Diminished | Quality::DiminishedSeven => 3,
    }
}

impl SharedParameters {
    fn new() -> Self {
        let mut parts: Vec<Vec<usize>> = (0..WEIGHTS).map(|i| vec![i]).collect();
        let (all, groups) = (WEIGHTS, WEIGHTS + KINDS * 12);
        let (motion, pairs) = (groups + KINDS * 48, groups + KINDS * 48 + 12);
        let (qualities, end) = (pairs + 16 * 12, pairs + 16 * 12 + QUALITIES * QUALITIES);
        for (quality, interval) in (0..QUALITIES).flat_map(|q| (0..12).map(move |i| (q, i))) {
            for kind in 0..KINDS {
                let group = groups + 12 * (4 * kind + group(quality)) + interval;
                parts[kind * STATES + 12 * quality + interval].extend([all + 12 * kind + interval, group]);
            }
            for before in 0..QUALITIES {
                let pair = pairs + 12 * (4 * group(before) + group(quality)) + interval;
                let weight = KINDS * STATES + before * STATES + 12 * quality + interval;
                parts[weight].extend([motion + interval, pair, qualities + QUALITIES * before + quality]);
            }
        }
        Self { parts, parameters: end }
    }

    fn weights(&self, parameters: &[f32]) -> Vec<f32> {
        self.parts.iter().map(|parts| parts.iter().map(|p| parameters[*p]).sum()).collect()
    }

    fn gradient(&self, weights: &[f32]) -> Vec<f32> {
        let mut gradient = vec![0.0; self.parameters];
        for (parts, g) in self.parts.iter().zip(weights) {
            parts.iter().for_each(|p| gradient[*p] += g);
        }
        gradient
    }
}

/// Decay of parameters: of a weight's own part, and of shared parts.
const OWN_DECAY: f32 = 0.15;
const SHARED_DECAY: f32 = 0.01;

/// AdamW's state.
struct Ascent {
    parameters: Vec<f32>,
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: i32,
}

impl Ascent {
    fn step(&mut self, gradient: &[f32], rate: f32) {
        self.steps += 1;
        let (b1, b2) = (0.9f32, 0.99f32);
        for (i, &g) in gradient.iter().enumerate() {
            self.mean[i] = b1 * self.mean[i] + (1.0 - b1) * g;
            self.square[i] = b2 * self.square[i] + (1.0 - b2) * g * g;
            let mean = self.mean[i] / (1.0 - b1.powi(self.steps));
            let square = self.square[i] / (1.0 - b2.powi(self.steps));
            let decay = if i < CHANGE { OWN_DECAY } else { SHARED_DECAY };
            self.parameters[i] += rate * (mean / (square.sqrt() + 1e-4) - decay * self.parameters[i]);
        }
    }
}

/// The gradient of the likelihood of some examples, a hundred windows being one, on two threads.
fn gradient(examples: &[Example], model: &ChordModel) -> Vec<f32> {
    let sum = |examples: &[Example]| {
        let mut gradient = vec![0.0f32; WEIGHTS];
        for example in examples {
            observed(example, &mut gradient);
            expected(example, model, &mut gradient);
        }
        gradient
    };
    let (left, right) = examples.split_at(examples.len() / 2);
    let (mut gradient, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| sum(right));
        (sum(left), other.join().expect("a sum"))
    });
    let hundreds = examples.iter().map(|e| e.states.len()).sum::<usize>().max(1) as f32 / 100.0;
    gradient.iter_mut().zip(other).for_each(|(g, o)| *g = (*g + o) / hundreds);
    gradient
}

/// Files in a step.
const BATCH: usize = 8;

/// Number of passes over all files; fewer when fitting continues.
fn passes() -> usize {
    std::env::var("ETUDE_CHORD_PASSES").ok().and_then(|p| p.parse().ok()).unwrap_or(20)
}

#[test]
#[ignore = "reads a corpus, takes a quarter of an hour, and writes tables.bin"]
fn learn_tables() {
    let files = labelled();
    let mut counted: Vec<&Labelled> = files.iter().filter(|f| !f.held_out).collect();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let shared = SharedParameters::new();
    let zero = || vec![0.0f32; shared.parameters];
    let mut ascent = Ascent { parameters: zero(), mean: zero(), square: zero(), steps: 0 };
    ascent.parameters[CHANGE..WEIGHTS].fill(-2.0);
    // Fitting can continue from the built-in tables.
    if std::env::var_os("ETUDE_CHORD_GO_ON").is_some() {
        ascent.parameters[..WEIGHTS].copy_from_slice(&ChordModel::built_in());
    }
    let passes = passes();
    for epoch in 0..passes {
        for i in (1..counted.len()).rev() {
            counted.swap(i, (dice.next() * (i + 1) as f64) as usize);
        }
        let rate = 0.04 * (1.0 - epoch as f32 / passes as f32).max(0.02);
        for batch in counted.chunks(BATCH) {
            let model = ChordModel::from_weights(&shared.weights(&ascent.parameters));
            let lessons: Vec<Example> = batch.iter().flat_map(|file| lesson(file, &mut dice)).collect();
            let gradient = gradient(&lessons, &model);
            ascent.step(&shared.gradient(&gradient), rate);
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/harmony/recognize/tables.bin");
        let file = ChordModel::file(&shared.weights(&ascent.parameters));
        crate::atomic::write(&path, &file).expect("the tables are written");
        let _ = writeln!(std::io::stderr(), "pass {} of {passes}", epoch + 1);
    }
    super::benchmark::report(&files, &ChordModel::from_weights(&shared.weights(&ascent.parameters)));
}
