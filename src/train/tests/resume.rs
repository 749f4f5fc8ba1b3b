//! Interrupted and resumed runs give the numbers of uninterrupted ones.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::data::Augment;
use crate::interrupt::Interrupt;
use crate::progress::{Progress, ProgressSink, Snapshot};
use crate::train::TrainEvent;

/// Keeps what is shown.
#[derive(Default)]
struct Shown(Mutex<Vec<Snapshot>>);

impl ProgressSink for Shown {
    fn show(&self, snapshot: &Snapshot) {
        self.0.lock().expect("no panic holds it").push(snapshot.clone());
    }
}

fn long(out: Option<&Path>) -> TrainOptions {
    TrainOptions {
        gradient_accumulation_steps: 2,
        max_steps: 12,
        schedule_steps: Some(12),
        eval_every: 4,
        checkpoint_every: 3,
        save_total_limit: Some(2),
        output_dir: out.map(Path::to_path_buf),
        ..options()
    }
}

fn folders(out: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(out).expect("the run's folder").map(|entry| entry.expect("readable").path());
    let names = entries.filter(|path| path.is_dir()).map(|path| path.file_name().expect("a name").to_owned());
    let mut names: Vec<String> = names.map(|name| name.into_string().expect("ASCII")).collect();
    names.sort();
    names
}

fn resume(dir: &Path, overrides: &Value) -> crate::Result<Trainer> {
    Trainer::resume(dir, Some(dataset()), overrides, &Device::Cpu, &Progress::silent())
}

/// The history without the times.
fn course(trainer: &Trainer) -> Vec<[f64; 4]> {
    let numbers = |s: &crate::train::Step| [s.loss, s.lr, s.grad_norm, s.val_loss.unwrap_or(-1.0)];
    trainer.history().iter().map(numbers).collect()
}

#[test]
fn a_run_measures_and_saves_on_the_way() {
    let out = tempfile::tempdir().expect("a folder");
    let mut trainer = trainer(adapted(), long(Some(out.path())));
    trainer.fit(&Progress::silent()).expect("a run");
    assert_eq!(folders(out.path()), ["best_model", "checkpoint-12", "checkpoint-9"]);
    let measured: Vec<u64> = trainer.history().iter().filter(|s| s.val_loss.is_some()).map(|s| s.step).collect();
    assert_eq!(measured, [4, 8, 12]);
    assert_eq!(trainer.evaluate(&Progress::silent()).ok(), trainer.history()[11].val_loss);

    let same = |dir: &Path| values(&Model::load(dir, &Device::Cpu).expect("a model"));
    assert_eq!(same(out.path()), values(trainer.model()));
    assert_eq!(same(&out.path().join("checkpoint-12")), values(trainer.model()));
    assert_eq!(same(&out.path().join("best_model")), values(trainer.model())); // the tune is easy: the last is best
    assert!(Tokenizer::load(out.path().join("best_model/tokenizer.json")).is_ok());
    assert_eq!(Trainer::latest_checkpoint(out.path()), Some(out.path().join("checkpoint-12")));
}

#[test]
fn stopping_and_resuming_is_the_same_run_as_never_stopping() {
    let out = tempfile::tempdir().expect("a folder");
    let mut whole = trainer(adapted(), long(None));
    whole.fit(&Progress::silent()).expect("a run");

    let mut part = trainer(adapted(), TrainOptions { max_steps: 5, ..long(Some(out.path())) });
    part.fit(&Progress::silent()).expect("a run");
    let mut rest = resume(out.path(), &json!({ "max_steps": 12 })).expect("a checkpoint");
    assert_eq!(course(&rest), course(&part));
    rest.fit(&Progress::silent()).expect("a run");
    // The part was evaluated once more, at its own end.
    let without_val = |trainer: &Trainer| course(trainer).iter().map(|s| [s[0], s[1], s[2]]).collect::<Vec<_>>();
    assert_eq!(without_val(&rest), without_val(&whole));
    assert_eq!(values(rest.model()), values(whole.model()));
    assert_eq!(rest.history().last().map(|s| s.val_loss), whole.history().last().map(|s| s.val_loss));
}

#[test]
fn a_stop_saves_the_state_and_fit_goes_on_from_there() {
    let out = tempfile::tempdir().expect("a folder");
    let mut whole = trainer(adapted(), long(None));
    whole.fit(&Progress::silent()).expect("a run");

    let flag = Interrupt::new();
    let sink = Arc::new(Shown::default());
    let progress = Progress::new(sink.clone(), flag.clone());
    let mut stopped = trainer(adapted(), long(Some(out.path())));
    // The user cancels while the second step is told of; what is shown is shown some times a second at most.
    let stopped_at = stopped.fit_with(&progress, &mut |_, event| {
        if matches!(event, TrainEvent::Stepped(step) if step.step == 2) {
            flag.trigger();
        }
        Ok(())
    });
    assert!(stopped_at.is_err_and(|error| error.is_interrupted()));
    assert_eq!(stopped.steps(), 2);
    assert_eq!(folders(out.path()).last().map(String::as_str), Some("checkpoint-2"));
    let all = sink.0.lock().expect("no panic holds it").clone();
    assert!(
        all[0].done == 0 && all[0].note.contains("the first step, 4 rows of"),
        "it reports at once: {}",
        all[0].note
    );
    let seen = all.iter().find(|snapshot| snapshot.done > 0).expect("a step was told of").clone();
    assert_eq!((seen.title.as_str(), seen.unit, seen.total), ("training", "steps", Some(12)));
    assert!(
        seen.note.starts_with("loss 6.") && seen.note.contains("lr ") && seen.note.ends_with("tok/s"),
        "{}",
        seen.note
    );

    let mut resumed = resume(out.path(), &Value::Null).expect("a checkpoint");
    flag.clear();
    for trainer in [&mut stopped, &mut resumed] {
        trainer.fit(&Progress::silent()).expect("a run");
        assert_eq!(course(trainer), course(&whole));
        assert_eq!(values(trainer.model()), values(whole.model()));
    }
}

#[test]
fn a_new_run_replaces_the_checkpoints_of_an_old_one() {
    let out = tempfile::tempdir().expect("a folder");
    trainer(model(), long(Some(out.path()))).fit(&Progress::silent()).expect("a run");
    std::fs::create_dir(out.path().join("checkpoint-of-mine")).expect("made");
    let mut again = trainer(model(), TrainOptions { max_steps: 2, ..long(Some(out.path())) });
    again.fit(&Progress::silent()).expect("a run");
    assert_eq!(folders(out.path()), ["best_model", "checkpoint-2", "checkpoint-of-mine"]);
}

#[test]
fn what_cannot_be_resumed_is_refused_by_name() {
    let out = tempfile::tempdir().expect("a folder");
    let refused = |dir: &Path, overrides: Value| resume(dir, &overrides).expect_err("must be refused");
    let error = refused(out.path(), Value::Null);
    assert!(error.message().contains("no checkpoint in"), "{error}");
    let mut run = trainer(model(), TrainOptions { max_steps: 1, ..long(Some(out.path())) });
    run.fit(&Progress::silent()).expect("a run");
    let error = refused(out.path(), json!({ "max_step": 9 }));
    assert!(error.hint().is_some_and(|hint| hint.contains("'max_steps'")), "{error}");
    assert!(refused(out.path(), json!({ "batch_size": 8 })).message().contains("batch_size cannot change"));
    assert!(refused(out.path(), json!({ "lr": "high" })).message().contains("options of resume"));
    assert!(refused(out.path(), json!([1])).message().contains("a map"));

    let other = Dataset { train: dataset().val, ..dataset() };
    let error = Trainer::resume(out.path(), Some(other), &Value::Null, &Device::Cpu, &Progress::silent());
    assert!(error.expect_err("other rows").message().contains("not the data of the run"));

    let state = out.path().join("checkpoint-1/trainer_state.json");
    let text = std::fs::read_to_string(&state).expect("readable").replace("\"position\"", "\"place\"");
    std::fs::write(&state, text).expect("writable");
    assert!(refused(out.path(), Value::Null).message().contains("checkpoint-1 is damaged: trainer_state.json"));
    std::fs::remove_file(out.path().join("checkpoint-1/checksums.json")).expect("removed");
    assert!(refused(out.path(), Value::Null).message().contains("trainer_state.json: missing field `position`"));
}

#[test]
fn without_data_they_are_built_again_from_the_files() {
    let (pieces, out) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let tokenizer = dataset().tokenizer;
    for (n, row) in rows(&tokenizer, 9).iter().enumerate() {
        let score = tokenizer.decode(row);
        score.write(pieces.path().join(format!("{n}.mid"))).expect("written");
    }
    std::fs::write(pieces.path().join("broken.mid"), b"no music").expect("written");
    let choice = DatasetOptions {
        max_seq_len: 16,
        val: 0.3,
        augment: Augment { transpose: 12, tempo: vec![0.9, 1.1], sample: Some(5) },
        ..DatasetOptions::default()
    };
    let paths = [pieces.path().to_path_buf()];
    let data = Dataset::build(&paths, tokenizer, &choice, &Progress::silent()).expect("pieces");
    assert_eq!(data.broken.len(), 1);
    let mut whole = Trainer::new(adapted(), data.clone(), long(None)).expect("all fits");
    whole.fit(&Progress::silent()).expect("a run");
    let mut part =
        Trainer::new(adapted(), data, TrainOptions { max_steps: 4, ..long(Some(out.path())) }).expect("all fits");
    part.fit(&Progress::silent()).expect("a run");

    let resumed = || Trainer::resume(out.path(), None, &json!({ "max_steps": 12 }), &Device::Cpu, &Progress::silent());
    let mut rest = resumed().expect("a checkpoint");
    rest.fit(&Progress::silent()).expect("a run");
    assert_eq!(course(&rest), course(&whole));
    std::fs::remove_file(pieces.path().join("3.mid")).expect("removed");
    assert!(resumed().is_err_and(|error| error.is_mistake()));
}

#[test]
fn a_run_without_a_folder_has_nowhere_to_save() {
    let error = trainer(model(), options()).save().expect_err("no folder");
    assert!(error.hint().is_some_and(|hint| hint.contains("out")), "{error}");
}
