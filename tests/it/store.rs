//! Datasets on disk: ours come back, those of the `datasets` library open, and what is broken is told.
//!
//! The folders that `datasets` itself writes are tried by `tests/peers/datasets_roundtrip.py`.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, LargeListBuilder};
use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_ipc::writer::StreamWriter;
use etude::data::{Augment, ChordSource, Dataset, DatasetOptions, Split};
use etude::midi::{Note, Score, Track};
use etude::progress::Progress;
use etude::tokens::{Options, Tokenizer};
use serde_json::{Value, json};

fn dataset(val: f64) -> Dataset {
    let root = tempfile::tempdir().expect("a temporary folder");
    for i in 0..4_u8 {
        let mut score = Score::new(480);
        let note = |n: u32| Note { start: n * 240, end: n * 240 + 200, pitch: 50 + i + (n % 7) as u8, velocity: 64 };
        score.tracks.push(Track { notes: (0..90).map(note).collect(), ..Track::default() });
        score.write(root.path().join(format!("{i}.mid"))).expect("it can be written");
    }
    fs::write(root.path().join("bad.mid"), b"bad").expect("it can be written");
    let tokenizer = Arc::new(Tokenizer::new("performance", &Options::default()).expect("it is known"));
    let augment = Augment { transpose: 3, ..Augment::default() };
    let options =
        DatasetOptions { max_seq_len: 24, augment, chords: ChordSource::None, val, seed: 5, ..Default::default() };
    Dataset::build(&[root.path().to_path_buf()], tokenizer, &options, &Progress::silent()).expect("good pieces")
}

fn rows(split: &Split) -> Vec<Vec<u32>> {
    (0..split.len()).filter_map(|row| split.row(row)).collect()
}

fn refused(dir: &Path) -> String {
    Dataset::load(dir).expect_err("it should be refused").to_string()
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("it is there")).expect("good JSON")
}

#[test]
fn what_is_saved_is_loaded() {
    let root = tempfile::tempdir().expect("a temporary folder");
    for val in [0.25, 0.0] {
        let dir = root.path().join("deep/er").join(val.to_string());
        let data = dataset(val);
        data.save(&dir).expect("there is room");
        assert!(Dataset::is_saved(&dir) && !Dataset::is_saved(root.path()));
        let back = Dataset::load(&dir).expect("our own");
        assert_eq!((rows(&back.train), rows(&back.val)), (rows(&data.train), rows(&data.val)));
        assert_eq!((&back.files, &back.val_files), (&data.files, &data.val_files));
        assert_eq!((&back.broken, &back.options), (&data.broken, &data.options));
        assert_eq!(back.stats(), data.stats());
        assert_eq!(back.train.in_order(4).next(), data.train.in_order(4).next());
        let beside = fs::read_dir(dir.parent().expect("it has one")).expect("it is there").count();
        assert_eq!(beside, if val > 0.0 { 1 } else { 2 }, "something was left beside {}", dir.display());
    }
}

#[test]
fn the_layout_is_that_of_save_to_disk() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let dir = root.path().join("saved");
    dataset(0.25).save(&dir).expect("there is room");
    assert_eq!(json_of(&dir.join("dataset_dict.json")), json!({ "splits": ["train", "validation"] }));
    for split in ["train", "validation"] {
        let stream = fs::read(dir.join(split).join("data-00000-of-00001.arrow")).expect("it is there");
        assert_eq!(stream[..4], [0xff; 4]);
        assert_eq!(stream[stream.len() - 8..], [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        let state = json_of(&dir.join(split).join("state.json"));
        let keys: Vec<&String> = state.as_object().expect("a map").keys().collect();
        // All seven are asked for by datasets 5.2.0.
        let wanted = ["_data_files", "_fingerprint", "_format_columns", "_format_kwargs", "_format_type"];
        assert_eq!(keys[..5], wanted);
        assert_eq!(keys[5..], ["_output_all_columns", "_split"]);
        assert_eq!(state["_data_files"], json!([{ "filename": "data-00000-of-00001.arrow" }]));
        assert_eq!(state["_fingerprint"].as_str().map(str::len), Some(16));
        let features = json_of(&dir.join(split).join("dataset_info.json"))["features"].take();
        let ids = json!({ "feature": { "dtype": "int32", "_type": "Value" }, "_type": "List" });
        assert_eq!(features, json!({ "input_ids": ids }));
    }
}

#[test]
fn a_dataset_is_replaced_and_nothing_else_is() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let dir = root.path().join("saved");
    let (first, second) = (dataset(0.25), dataset(0.0));
    first.save(&dir).expect("there is room");
    second.save(&dir).expect("it is a dataset");
    assert_eq!(Dataset::load(&dir).expect("our own").train.len(), second.train.len());
    fs::create_dir(root.path().join("void")).expect("a folder");
    first.save(&root.path().join("void")).expect("an empty folder");

    fs::write(dir.join("train/thoughts.txt"), b"mine").expect("it can be written");
    let error = first.save(&dir).expect_err("it holds a file of somebody").to_string();
    assert!(error.contains("train/thoughts.txt"), "{error}");
    fs::rename(dir.join("train/thoughts.txt"), dir.join("thoughts.txt")).expect("it can be moved");
    assert!(first.save(&dir).expect_err("still").to_string().contains("thoughts.txt"));
    let home = root.path().join("home");
    fs::create_dir(&home).expect("a folder");
    fs::write(home.join("song.mid"), b"mine").expect("it can be written");
    for taken in [&home, &home.join("song.mid")] {
        let error = first.save(taken).expect_err("it is taken");
        assert!(error.message().contains("not replaced") && error.hint().is_some(), "{error}");
    }
    assert_eq!(fs::read(home.join("song.mid")).expect("it is there"), b"mine");
    let names = fs::read_dir(root.path()).expect("it is there").count();
    assert_eq!(names, 3, "something was left beside");
}

/// Writes a split as `datasets` might: 64-bit ids in long lists, one file for every part.
fn foreign(dir: &Path, parts: &[&[&[i64]]]) {
    fs::create_dir_all(dir).expect("a folder");
    let mut files = Vec::new();
    for (place, rows) in parts.iter().enumerate() {
        let mut column = LargeListBuilder::new(Int64Builder::new());
        for row in *rows {
            column.append_value(row.iter().map(|&id| Some(id)));
        }
        let name = format!("data-{place:05}-of-{:05}.arrow", parts.len());
        write(&dir.join(&name), "input_ids", Arc::new(column.finish()));
        files.push(json!({ "filename": name }));
    }
    fs::write(dir.join("state.json"), json!({ "_data_files": files }).to_string()).expect("it can be written");
}

fn write(path: &Path, column: &str, values: ArrayRef) {
    let batch = RecordBatch::try_from_iter([(column, values)]).expect("one column");
    let file = File::create(path).expect("it can be written");
    let mut writer = StreamWriter::try_new(file, &batch.schema()).expect("a schema");
    writer.write(&batch).expect("there is room");
    writer.finish().expect("there is room");
}

fn foreign_folder() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    foreign(&root.path().join("train"), &[&[&[1, 10, 11], &[12, 2]], &[&[1, 2]]]);
    foreign(&root.path().join("test"), &[&[&[1, 13, 2]]]);
    fs::write(root.path().join("dataset_dict.json"), r#"{"splits": ["train", "test"]}"#).expect("it can be written");
    let tokenizer = Tokenizer::new("performance", &Options::default()).expect("it is known");
    tokenizer.save(root.path().join("tokenizer.json")).expect("it can be written");
    root
}

#[test]
fn long_lists_in_many_files_and_a_split_called_test_are_read() {
    let root = foreign_folder();
    let data = Dataset::load(root.path()).expect("a good one");
    assert_eq!(rows(&data.train), [[1, 10, 11], [12, 2, 0], [1, 2, 0]]);
    assert_eq!(rows(&data.val), [[1, 13, 2]]);
    assert_eq!((data.options.max_seq_len, data.train.tokens(), data.files.len()), (3, 7, 0));
    // One split alone, saved without a dictionary.
    let train = root.path().join("train");
    fs::copy(root.path().join("tokenizer.json"), train.join("tokenizer.json")).expect("it can be copied");
    let alone = Dataset::load(&train).expect("a good one");
    assert_eq!((alone.train.len(), alone.val.len()), (3, 0));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let root = foreign_folder();
    let dir = root.path();
    assert!(refused(&dir.join("nowhere")).contains("nowhere"));
    let tokenizer = fs::read(dir.join("tokenizer.json")).expect("it is there");
    fs::remove_file(dir.join("tokenizer.json")).expect("it is there");
    let error = refused(dir);
    assert!(error.contains("tokenizer.json") && error.contains("hint"), "{error}");
    fs::write(dir.join("tokenizer.json"), tokenizer).expect("it can be written");

    foreign(&dir.join("test"), &[&[&[1, 2], &[1, 9_000_000, 2]]]);
    let error = refused(dir);
    assert!(error.contains("row 1 has the id 9000000") && error.contains("test"), "{error}");
    foreign(&dir.join("test"), &[&[&[-1, 2]]]);
    assert!(refused(dir).contains("the id -1"));

    write(&dir.join("test/data-00000-of-00001.arrow"), "tokens", Arc::new(Float64Array::from(vec![1.0])));
    let error = refused(dir);
    assert!(error.contains("no column input_ids; there are: tokens"), "{error}");
    write(&dir.join("test/data-00000-of-00001.arrow"), "input_ids", Arc::new(Float64Array::from(vec![1.0])));
    assert!(refused(dir).contains("a list of integers is wanted"));

    fs::remove_file(dir.join("test/data-00000-of-00001.arrow")).expect("it is there");
    assert!(refused(dir).contains("data-00000-of-00001.arrow"));
    fs::write(dir.join("test/state.json"), b"{}").expect("it can be written");
    assert!(refused(dir).contains("state.json"));
    fs::write(dir.join("dataset_dict.json"), br#"{"splits": ["test"]}"#).expect("it can be written");
    assert!(refused(dir).contains("no split 'train'"));
}

#[test]
fn a_file_cut_short_is_noticed() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let dir = root.path().join("saved");
    dataset(0.25).save(&dir).expect("there is room");
    let file = dir.join("train/data-00000-of-00001.arrow");
    let whole = fs::read(&file).expect("it is there");
    for len in [0, 3, 10, 200, whole.len() / 2, whole.len() - 100] {
        fs::write(&file, &whole[..len]).expect("it can be written");
        let error = refused(&dir);
        assert!(error.contains("train") || error.contains("etude.json"), "{len} bytes: {error}");
    }
}

#[test]
fn changed_bytes_are_an_error_or_other_rows_but_never_a_panic() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let dir = root.path().join("saved");
    dataset(0.25).save(&dir).expect("there is room");
    let file = dir.join("train/data-00000-of-00001.arrow");
    let whole = fs::read(&file).expect("it is there");
    let mut errors = 0;
    // The head of the stream is all structure; the rest is ids.
    for place in (0..whole.len().min(1200)).step_by(5).chain((1200..whole.len()).step_by(997)) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0xff;
        fs::write(&file, &bytes).expect("it can be written");
        errors += usize::from(Dataset::load(&dir).is_err());
    }
    assert!(errors > 30, "only {errors} changes were noticed");
}
