//! Datasets from folders as users have them: good files, broken ones, empty ones, copies, and what is not MIDI at all.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etude::data::{Augment, ChordSource, Dataset, DatasetOptions, IGNORE, Source, Split, scan};
use etude::interrupt::Interrupt;
use etude::midi::{Marker, Note, Score, Track};
use etude::progress::{Progress, ProgressSink, Snapshot};
use etude::tokens::{Options, TokenKind, Tokenizer};

fn performance() -> Arc<Tokenizer> {
    Arc::new(Tokenizer::new("performance", &Options::default()).expect("it is known"))
}

/// A piece of `notes` notes that no other `seed` has; `seed` is the pitch of its highest note, within 40 to 80.
fn piece(seed: u8, notes: u32) -> Score {
    let mut score = Score::new(480);
    let note = |i: u32| Note {
        start: 960 + i * 240,
        end: 960 + i * 240 + 200,
        pitch: if i == 0 { seed } else { 40 + ((i * 7 + u32::from(seed)) % u32::from(seed - 40 + 1)) as u8 },
        velocity: 64,
    };
    score.tracks.push(Track { notes: (0..notes).map(note).collect(), ..Track::default() });
    score
}

fn with_chords(mut score: Score) -> Score {
    for (tick, text) in [(960, "chord:Cmaj7"), (1920, "chord:Am7"), (2880, "chord:G7")] {
        score.markers.push(Marker { tick, text: text.into() });
    }
    score
}

/// A folder of `count` good pieces.
fn folder(count: u8) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    for i in 0..count {
        piece(50 + i, 60).write(root.path().join(format!("piece{i:02}.mid"))).expect("it can be written");
    }
    root
}

fn plain() -> DatasetOptions {
    DatasetOptions { max_seq_len: 32, chords: ChordSource::None, ..DatasetOptions::default() }
}

fn build(root: &Path, options: &DatasetOptions) -> Dataset {
    Dataset::build(&[root.to_path_buf()], performance(), options, &Progress::silent()).expect("good pieces")
}

/// The pieces of a split, without their frames.
fn pieces(split: &Split, tokenizer: &Tokenizer) -> Vec<Vec<u32>> {
    let rows: Vec<u32> = (0..split.len()).filter_map(|row| split.row(row)).flatten().collect();
    let whole = rows.split(|&id| id == tokenizer.eos()).filter(|piece| piece.first() == Some(&tokenizer.bos()));
    whole.map(|piece| piece[1..].to_vec()).collect()
}

fn rows(split: &Split) -> Vec<Vec<u32>> {
    (0..split.len()).filter_map(|row| split.row(row)).collect()
}

#[test]
fn broken_files_are_told_and_passed_over() {
    let root = folder(6);
    let good = fs::read(root.path().join("piece00.mid")).expect("it is there");
    fs::create_dir(root.path().join("deep")).expect("a folder");
    for (name, bytes) in [
        ("deep/cut.mid", &good[..good.len() / 2]),
        ("deep/empty.MID", b"".as_slice()),
        ("deep/letter.midi", b"Dear all, this is not a MIDI file.".as_slice()),
        ("deep/notes.txt", b"not called like one".as_slice()),
        ("silent.mid", &Score::new(480).to_bytes()[..]),
    ] {
        fs::write(root.path().join(name), bytes).expect("it can be written");
    }
    let data = build(root.path(), &plain());
    let broken: HashSet<String> =
        data.broken.iter().map(|b| b.path.strip_prefix(root.path()).expect("inside").display().to_string()).collect();
    let named = |name: &str| data.broken.iter().find(|b| b.path.ends_with(name)).map(|b| b.reason.clone());
    for name in ["deep/empty.MID", "deep/letter.midi", "silent.mid"] {
        assert!(broken.contains(name), "{name} is not among {broken:?}");
        assert!(named(name).is_some_and(|reason| !reason.is_empty()));
    }
    assert!(named("empty.MID").is_some_and(|reason| reason.contains("empty")));
    assert!(named("silent.mid").is_some_and(|reason| reason.contains("no notes")));
    assert!(!broken.contains("deep/notes.txt"));
    let stats = data.stats();
    assert_eq!((stats.files, stats.broken), (data.files.len(), data.broken.len()));
    assert_eq!(stats.files + stats.broken, 10);
    assert!(data.files.iter().all(|f| f.extension().is_some()), "{:?}", data.files);
}

#[test]
fn a_folder_of_broken_files_is_an_error_that_says_why() {
    let root = tempfile::tempdir().expect("a temporary folder");
    for i in 0..5 {
        fs::write(root.path().join(format!("bad{i}.mid")), b"nonsense").expect("it can be written");
    }
    let build = Dataset::build(&[root.path().to_path_buf()], performance(), &plain(), &Progress::silent());
    let error = build.expect_err("nothing is left");
    for part in ["none of the 5 files", "bad0.mid", "bad2.mid", "and 2 more"] {
        assert!(error.message().contains(part), "'{part}' is missing: {error}");
    }
    assert!(!error.message().contains("bad3.mid"));
    let missing = Dataset::build(&["no/such/folder".into()], performance(), &plain(), &Progress::silent());
    assert!(missing.expect_err("missing").message().contains("no/such/folder"));
}

#[test]
fn sides_hold_whole_pieces_and_share_none() {
    let root = folder(20);
    let tokenizer = performance();
    let data = build(root.path(), &DatasetOptions { val: 0.2, ..plain() });
    assert_eq!((data.files.len(), data.val_files.len()), (20, 4));
    let (train, val) = (pieces(&data.train, &tokenizer), pieces(&data.val, &tokenizer));
    assert_eq!((train.len(), val.len()), (16, 4));
    assert!(val.iter().all(|piece| !train.contains(piece)), "a held-out piece is among the training pieces");
    for (file, ids) in data.val_files.iter().zip(&val) {
        assert_eq!(*ids, tokenizer.encode(&Score::read(file).expect("a good file").trim()));
    }
}

#[test]
fn copies_of_a_file_are_on_one_side_and_a_path_named_twice_is_read_once() {
    let root = folder(4);
    for i in 0..4 {
        let from = root.path().join(format!("piece{i:02}.mid"));
        fs::copy(from, root.path().join(format!("copy{i:02}.mid"))).expect("it can be copied");
    }
    for seed in 0..10 {
        let data = build(root.path(), &DatasetOptions { val: 0.4, seed, ..plain() });
        let held: HashSet<String> = data.val_files.iter().map(|f| f.to_string_lossy().into_owned()).collect();
        assert_eq!(held.len(), 2, "seed {seed}");
        assert!(held.iter().all(|f| held.contains(&f.replace("piece", "copy"))), "seed {seed}: {held:?}");
    }
    let twice = [root.path().to_path_buf(), root.path().join("piece01.mid"), root.path().join(".")];
    let data = Dataset::build(&twice, performance(), &plain(), &Progress::silent()).expect("good pieces");
    assert_eq!(data.files.len(), 8);
}

#[test]
fn thirty_six_copies_are_the_transposed_and_stretched_piece() {
    let root = tempfile::tempdir().expect("a temporary folder");
    with_chords(piece(70, 40)).write(root.path().join("a.mid")).expect("it can be written");
    let tokenizer = performance();
    let augment = Augment { transpose: 12, tempo: vec![0.9, 1.0, 1.1], sample: None };
    let options = DatasetOptions { augment, chords: ChordSource::Markers, val: 0.0, ..plain() };
    let data = build(root.path(), &options);
    let copies = pieces(&data.train, &tokenizer);
    assert_eq!(copies.len(), 36);
    let score = Score::read(root.path().join("a.mid")).expect("a good file").trim();
    let mut copies = copies.iter();
    for tempo in [0.9, 1.0, 1.1] {
        let stretched = score.stretch(1.0 / tempo).expect("a good tempo");
        for semitones in -5..=6 {
            let moved = stretched.transpose(semitones).expect("it fits");
            let ids = tokenizer.encode(&moved);
            assert!(ids.iter().any(|&id| tokenizer.kind(id) == TokenKind::Chord));
            assert_eq!(copies.next(), Some(&ids), "tempo {tempo}, {semitones} semitones");
        }
    }
}

#[test]
fn what_is_held_out_is_not_augmented() {
    let root = folder(10);
    let augment = Augment { transpose: 12, tempo: vec![0.9, 1.0], sample: Some(7) };
    let data = build(root.path(), &DatasetOptions { augment, val: 0.2, ..plain() });
    assert_eq!(pieces(&data.val, &data.tokenizer).len(), 2);
    assert_eq!(pieces(&data.train, &data.tokenizer).len(), 8 * 7);
}

#[test]
fn chords_are_said_given_and_dropped_by_their_share() {
    let root = tempfile::tempdir().expect("a temporary folder");
    for i in 0..20 {
        with_chords(piece(50 + i, 40)).write(root.path().join(format!("{i}.mid"))).expect("it can be written");
    }
    let sung = |data: &Dataset| {
        let all = pieces(&data.train, &data.tokenizer);
        let with = all.iter().filter(|p| p.iter().any(|&id| data.tokenizer.kind(id) == TokenKind::Chord)).count();
        (with, all.len())
    };
    let options = DatasetOptions { chords: ChordSource::Auto, val: 0.1, ..plain() };
    let data = build(root.path(), &options);
    assert_eq!(sung(&data), (18, 18));
    for batch in data.train.in_order(3) {
        for (place, &label) in batch.labels.iter().enumerate() {
            let last = (place + 1) % batch.width == 0;
            let next = batch.input_ids.get(place + 1).copied().filter(|_| !last);
            let given = |id| {
                data.tokenizer.kind(id) == TokenKind::Chord || id == data.tokenizer.pad() || id == data.tokenizer.bos()
            };
            let predicted = next.filter(|&id| !given(id));
            assert_eq!(label, predicted.unwrap_or(IGNORE));
        }
    }
    assert_eq!(sung(&build(root.path(), &DatasetOptions { chords: ChordSource::None, ..options.clone() })), (0, 18));
    let dropped = build(root.path(), &DatasetOptions { chord_dropout: 0.5, ..options });
    assert!((3..16).contains(&sung(&dropped).0), "{:?}", sung(&dropped));
    let held = pieces(&dropped.val, &dropped.tokenizer);
    assert!(held.iter().all(|p| p.iter().any(|&id| dropped.tokenizer.kind(id) == TokenKind::Chord)));
}

#[test]
fn chords_are_heard_where_no_marker_names_them() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let mut score = Score::new(480);
    let mut notes = Vec::new();
    for (bar, chord) in [[48, 52, 55], [45, 52, 57], [50, 53, 57], [43, 50, 59]].iter().enumerate() {
        let start = bar as u32 * 1920;
        notes.extend(chord.iter().map(|&pitch| Note { start, pitch, end: start + 1900, velocity: 64 }));
    }
    notes.sort();
    score.tracks.push(Track { notes, ..Track::default() });
    score.write(root.path().join("plain.mid")).expect("it can be written");
    let chords = |source| {
        let data = build(root.path(), &DatasetOptions { chords: source, ..plain() });
        let ids = rows(&data.train).concat();
        ids.into_iter().filter(|&id| data.tokenizer.kind(id) == TokenKind::Chord).count()
    };
    assert_eq!(chords(ChordSource::Detect), 4);
    assert_eq!(chords(ChordSource::Auto), 4);
    assert_eq!((chords(ChordSource::Markers), chords(ChordSource::None)), (0, 0));
}

#[test]
fn a_seed_is_a_dataset_whatever_the_number_of_threads() {
    let root = folder(12);
    let augment = Augment { transpose: 5, tempo: vec![1.0, 1.1], sample: Some(4) };
    let options = DatasetOptions { augment, seed: 3, ..plain() };
    let on = |threads: usize, options: &DatasetOptions| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let data = pool.install(|| build(root.path(), options));
        (rows(&data.train), rows(&data.val), data.val_files)
    };
    let one = on(1, &options);
    assert_eq!(one, on(7, &options));
    assert_ne!(one, on(1, &DatasetOptions { seed: 4, ..options }));
}

#[derive(Default)]
struct Record(Mutex<Vec<Snapshot>>);

impl ProgressSink for Record {
    fn show(&self, snapshot: &Snapshot) {
        self.0.lock().expect("no panic holds it").push(snapshot.clone());
    }
}

#[test]
fn progress_counts_every_file_and_copy() {
    let root = folder(9);
    let record = Arc::new(Record::default());
    let progress = Progress::new(record.clone(), Interrupt::new());
    let augment = Augment { transpose: 3, ..Augment::default() };
    let options = DatasetOptions { augment, val: 0.1, ..plain() };
    Dataset::build(&[root.path().to_path_buf()], performance(), &options, &progress).expect("good pieces");
    let seen = record.0.lock().expect("no panic holds it");
    let ends: Vec<_> = seen.iter().filter(|s| s.finished).map(|s| (s.title.as_str(), s.done, s.total)).collect();
    assert_eq!(ends, [("reading", 9, Some(9)), ("encoding", 24, Some(24))]);
}

#[test]
fn a_stop_is_heard_soon() {
    let root = tempfile::tempdir().expect("a temporary folder");
    for i in 0..40 {
        piece(50 + i, 2000).write(root.path().join(format!("{i}.mid"))).expect("it can be written");
    }
    let interrupt = Interrupt::new();
    let progress = Progress::new(Arc::new(Record::default()), interrupt.clone());
    let augment = Augment { transpose: 12, tempo: (0..50).map(|i| 0.5 + f64::from(i) * 0.02).collect(), sample: None };
    let options = DatasetOptions { augment, ..plain() };
    let paths: Vec<PathBuf> = vec![root.path().to_path_buf()];
    let (built, late) = std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let built = Dataset::build(&paths, performance(), &options, &progress);
            (built, Instant::now())
        });
        std::thread::sleep(Duration::from_millis(100));
        let asked = Instant::now();
        interrupt.trigger();
        let (built, ended) = work.join().expect("no panic");
        (built, ended.saturating_duration_since(asked))
    });
    assert!(built.is_err_and(|e| e.is_interrupted()));
    assert!(late < Duration::from_millis(200), "it took {late:?}");
}

#[test]
fn options_that_make_no_sense_are_refused_before_any_work() {
    let options = DatasetOptions { max_seq_len: 1, ..plain() };
    let refused = Dataset::build(&["no/such/folder".into()], performance(), &options, &Progress::silent());
    assert!(refused.expect_err("one id is not a row").message().contains("max_seq_len"));
}

#[test]
fn sources_have_their_own_style_copies_and_side() {
    let root = folder(6);
    let files: Vec<PathBuf> = scan(root.path()).expect("they are there");
    let tokenizer = Arc::new(Tokenizer::new("note_duration", &Options::default()).expect("known"));
    let source = |range: std::ops::Range<usize>, style: &str, copies, val| Source {
        paths: files[range].to_vec(),
        style: Some(style.into()),
        copies,
        val: Some(val),
    };
    let sources = [
        source(0..3, "rag", Some(2.0), false),
        source(3..5, "solo", Some(1.0), false),
        source(5..6, "rag", None, true),
    ];
    let augment = Augment { transpose: 12, ..Augment::default() };
    let options = DatasetOptions { augment, max_seq_len: 65_536, ..DatasetOptions::default() };
    let build = |sources: &[Source], options: &DatasetOptions| {
        Dataset::build_from(sources, Arc::clone(&tokenizer), options, &Progress::silent())
    };
    let data = build(&sources, &options).expect("it builds");
    let count = |split: &Split, token: &str| {
        let id = tokenizer.id(token).expect("known");
        (0..split.len()).filter_map(|row| split.row(row)).flatten().filter(|&token| token == id).count()
    };
    assert_eq!((count(&data.train, "BOS_None"), count(&data.val, "BOS_None")), (8, 1));
    assert_eq!((count(&data.train, "Style_rag"), count(&data.train, "Style_solo")), (6, 2));
    assert_eq!((count(&data.val, "Style_rag"), data.val_files.as_slice()), (1, &files[5..6]));
    let dropped = build(&sources, &DatasetOptions { style_dropout: 1.0, ..options.clone() }).expect("it builds");
    assert_eq!(count(&dropped.train, "Style_rag") + count(&dropped.train, "Style_solo"), 0);
    let refused = build(&[source(0..1, "polka", None, false)], &options).expect_err("there is no such style");
    assert!(refused.to_string().contains("polka"), "{refused}");
    assert!(build(&[source(0..1, "rag", Some(0.0), false)], &options).is_err());
}
