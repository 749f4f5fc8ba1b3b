//! How often the root is right, by time (`mir_eval.chord.root`), on files with known chords whose markers are hidden:
//! `ETUDE_CHORD_DATA=FOLDER cargo test --release --lib harmony::recognize::benchmark -- --ignored --nocapture`.
//! The folder holds `jazz/wjd_solos` (track 1 the solo, 2 chords, 3 bass) and `leadsheets/openewld` and its like.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{RecognizedChord, model::ChordModel};
use crate::harmony::{ChordAt, ChordClass, chord_markers};
use crate::interrupt::Interrupt;
use crate::midi::{Clock, Score};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Corpus {
    Solos,
    LeadSheets,
}

/// A file with known chords.
#[derive(Debug)]
pub(super) struct Labelled {
    pub(super) corpus: Corpus,
    pub(super) score: Score,
    /// One of the quarter of tunes that are not used for fitting.
    pub(super) held_out: bool,
}

impl Labelled {
    /// Some of its tracks, with the metre and tempo of all and no markers.
    pub(super) fn with(&self, tracks: &[usize]) -> Score {
        let mut score = self.score.clone();
        score.markers.clear();
        for (i, track) in score.tracks.iter_mut().enumerate() {
            if !tracks.contains(&i) {
                track.notes.clear();
            }
        }
        score
    }

    /// Some solos have no bass.
    fn has(&self, tracks: &[usize]) -> bool {
        let notes = |i: &usize| self.score.tracks.get(*i).is_some_and(|t| !t.notes.is_empty());
        self.corpus == Corpus::LeadSheets || tracks.iter().all(notes)
    }
}

const FOLDERS: [(&str, Corpus); 4] = [
    ("jazz/wjd_solos", Corpus::Solos),
    ("leadsheets/openewld", Corpus::LeadSheets),
    ("leadsheets/openewld_1930", Corpus::LeadSheets),
    ("leadsheets/chord_melody", Corpus::LeadSheets),
];

/// All files of the corpora.
pub(super) fn labelled() -> Vec<Labelled> {
    let root = PathBuf::from(std::env::var_os("ETUDE_CHORD_DATA").expect("ETUDE_CHORD_DATA names a folder"));
    let mut all = Vec::new();
    for (folder, corpus) in FOLDERS {
        let entries = std::fs::read_dir(root.join(folder)).expect("the folder of a corpus");
        let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        paths.retain(|p| p.extension().is_some_and(|e| e == "mid"));
        paths.sort();
        for path in paths {
            let score = Score::read(&path).expect("a score");
            let mut hasher = DefaultHasher::new();
            tune(&path).hash(&mut hasher);
            all.push(Labelled { corpus, score, held_out: hasher.finish().is_multiple_of(4) });
        }
    }
    assert!(all.len() > 100, "only {} files", all.len());
    all
}

/// The title of a file without its recording number: all recordings of a tune are held out, or none.
fn tune(path: &Path) -> String {
    let table = std::fs::read_to_string(path.with_extension("chords.tsv")).unwrap_or_default();
    let title = table.lines().find_map(|l| l.strip_prefix("# title: ")).unwrap_or_default();
    title.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || c == ' ').to_lowercase()
}

/// Seconds in which the root and the class are right, and all seconds.
#[derive(Debug, Default, Clone, Copy)]
struct RootScore {
    root: f64,
    class: f64,
    all: f64,
    /// Seconds with a confidence of 0.8 at least, and those of them with the right root.
    sure: (f64, f64),
}

fn root(class: ChordClass) -> Option<u8> {
    match class {
        ChordClass::None => None,
        ChordClass::Some { root, .. } => Some(root),
    }
}

impl RootScore {
    fn add(&mut self, score: &Score, truth: &[ChordAt], heard: &[RecognizedChord]) {
        let end = Clock::new(score).seconds(score.end());
        for (i, chord) in truth.iter().enumerate() {
            let until = truth.get(i + 1).map_or(end, |c| c.seconds);
            let class = chord.chord.class();
            self.all += (until - chord.seconds).max(0.0);
            let first = heard.partition_point(|h| h.at.seconds <= chord.seconds).saturating_sub(1);
            for (j, found) in heard.iter().enumerate().skip(first) {
                let begin = found.at.seconds.max(chord.seconds);
                let stop = heard.get(j + 1).map_or(end, |h| h.at.seconds).min(until);
                let length = (stop - begin).max(0.0);
                let right = root(found.at.chord.class()) == root(class);
                self.root += if right { length } else { 0.0 };
                self.class += if found.at.chord.class() == class { length } else { 0.0 };
                if found.confidence >= 0.8 {
                    self.sure.0 += length;
                    self.sure.1 += if right { length } else { 0.0 };
                }
                if found.at.seconds > until {
                    break;
                }
            }
        }
    }
}

/// Prints the table for a model; gives the root accuracies of what is held out.
pub(super) fn report(files: &[Labelled], model: &ChordModel) -> Vec<f64> {
    let rows: [(&str, Corpus, &[usize]); 4] = [
        ("chords and bass", Corpus::Solos, &[2, 3]),
        ("solo and bass", Corpus::Solos, &[1, 3]),
        ("solo, chords, bass", Corpus::Solos, &[1, 2, 3]),
        ("lead sheets", Corpus::LeadSheets, &[0, 1, 2, 3]),
    ];
    let mut accuracies = Vec::new();
    let (mut elapsed, mut music) = (0.0, 0.0);
    for (name, corpus, tracks) in rows {
        for held_out in [false, true] {
            let mut sum = RootScore::default();
            for file in files.iter().filter(|f| f.corpus == corpus && f.held_out == held_out && f.has(tracks)) {
                let score = file.with(tracks);
                let begin = Instant::now();
                let heard = super::decode(&score, model, &Interrupt::new()).expect("nobody cancels");
                elapsed += begin.elapsed().as_secs_f64();
                music += score.duration();
                sum.add(&score, &chord_markers(&file.score), &heard);
            }
            let accuracy = sum.root / sum.all;
            let _ = writeln!(
                std::io::stderr(),
                "{name:20} {} root {accuracy:.3} class {:.3}; sure {:.3} of the time, then right {:.3}",
                if held_out { "held out" } else { "learnt  " },
                sum.class / sum.all,
                sum.sure.0 / sum.all,
                sum.sure.1 / sum.sure.0.max(1e-9),
            );
            if held_out {
                accuracies.push(accuracy);
            }
        }
    }
    let _ = writeln!(std::io::stderr(), "{:.2} ms a minute of music", 1e3 * elapsed / (music / 60.0));
    accuracies
}

#[test]
#[ignore = "reads a corpus"]
fn root_accuracy() {
    report(&labelled(), ChordModel::get());
}
