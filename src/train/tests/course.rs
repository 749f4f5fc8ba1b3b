//! The course of a run: early stopping, divergence, samples, averaged weights.

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde_json::{Value, json};

use super::*;
use crate::nn::{ForwardCtx, Precision};
use crate::progress::Progress;
use crate::train::{AdamW, Grads, MixedPrecision, TrainEvent};

fn fitted(mut trainer: Trainer) -> Trainer {
    trainer.fit(&Progress::silent()).expect("a run");
    trainer
}

#[test]
fn gradients_computed_again_block_by_block_are_those_of_the_plain_way() {
    for model in [model(), adapted()] {
        let batch = dataset().train.batches(3, 4, None).next().expect("endless");
        let pass = ForwardCtx { dropout_seed: Some(9), ..ForwardCtx::recording() };
        let loss = model.loss(&batch, &pass).expect("a batch that fits");
        let plain = Grads::backward(&loss, &model.parameters()).expect("gradients");
        let (again, recomputed) = Grads::recomputed(&model, &batch, &pass).expect("gradients");
        let number = |loss: &Tensor| loss.to_scalar::<f32>().expect("a scalar");
        assert_eq!(number(&loss), number(&again));
        assert!(plain.norm().expect("finite") > 0.0);
        for ((name, a), (other, b)) in plain.entries().iter().zip(recomputed.entries()) {
            assert_eq!(name, other);
            let apart = (a - b).and_then(|d| d.abs()?.max_all()?.to_scalar::<f32>()).expect("one shape");
            assert!(apart <= 1e-6, "{name}: {apart}");
        }
    }
}

#[test]
fn a_run_that_recomputes_or_divides_itself_learns_the_same() {
    let plain = losses(&fitted(trainer(adapted(), TrainOptions { batch_size: BatchSize::Rows(4), ..options() })));
    let again = TrainOptions { gradient_checkpointing: true, batch_size: BatchSize::Rows(4), ..options() };
    let auto = TrainOptions { batch_size: BatchSize::Auto, global_batch_size: 4, ..options() };
    for other in [again, auto] {
        let other = fitted(trainer(adapted(), other));
        assert!(matches!(other.options().batch_size, BatchSize::Rows(_)), "auto became a number");
        for (a, b) in plain.iter().zip(losses(&other)) {
            assert!((a - b).abs() < 1e-5, "{a} and {b}");
        }
    }
}

#[test]
fn the_mean_of_the_weights_is_what_is_measured_and_saved() {
    let out = tempfile::tempdir().expect("a folder");
    let options = TrainOptions { ema: 0.9, output_dir: Some(out.path().into()), eval_every: 3, ..options() };
    let run = fitted(trainer(adapted(), options.clone()));
    let saved = values(&Model::load(out.path(), &Device::Cpu).expect("a model"));
    assert_ne!(saved, values(run.model()), "the weights themselves go on");
    let resumed = |steps: u64| {
        let overrides = json!({ "max_steps": steps, "schedule_steps": 6 });
        fitted(
            Trainer::resume(out.path(), Some(dataset()), &overrides, &Device::Cpu, &Progress::silent()).expect("a run"),
        )
    };
    let rest = resumed(8);
    let whole =
        fitted(trainer(adapted(), TrainOptions { max_steps: 8, schedule_steps: Some(6), output_dir: None, ..options }));
    assert_eq!(losses(&rest), losses(&whole));
    assert_eq!(rest.history()[7].val_loss, whole.history()[7].val_loss, "the mean went on, too");
}

#[test]
fn a_loss_that_no_longer_falls_ends_the_run() {
    let out = tempfile::tempdir().expect("a folder");
    let options = TrainOptions {
        lr: 0.0,
        max_steps: 40,
        eval_every: 2,
        early_stopping_patience: 3,
        output_dir: Some(out.path().into()),
        ..options()
    };
    let mut run = trainer(adapted(), options);
    let mut why = String::new();
    run.fit_with(&Progress::silent(), &mut |_, event| {
        if let TrainEvent::StoppedEarly(reason) = event {
            why = reason.into();
        }
        Ok(())
    })
    .expect("an end, not an error");
    assert_eq!(run.steps(), 8, "the first measurement, and three that are no better");
    assert!(why.contains("3 measurements") && why.contains("step 2"), "{why}");
    assert_eq!(Trainer::latest_checkpoint(out.path()), Some(out.path().join("checkpoint-8")));
}

#[test]
fn whoever_follows_a_run_hears_of_all_of_it() {
    let out = tempfile::tempdir().expect("a folder");
    let options = TrainOptions {
        max_steps: 4,
        eval_every: 4,
        checkpoint_every: 2,
        sample_every: 2,
        mixed_precision: MixedPrecision::Bf16,
        output_dir: Some(out.path().into()),
        ..options()
    };
    let mut run = trainer(model(), options);
    let mut heard = Vec::new();
    run.fit_with(&Progress::silent(), &mut |run, event| {
        heard.push(match event {
            TrainEvent::Began => format!("began, {} note", run.notes().len()),
            TrainEvent::Stepped(step) => format!("step {}", step.step),
            TrainEvent::Measured(step) => format!("measured {}", step.val_loss.is_some()),
            TrainEvent::SampleDue(step) => format!("sample {step}"),
            TrainEvent::Saved(folder) => format!("saved {}", folder.file_name().expect("a name").to_string_lossy()),
            TrainEvent::StoppedEarly(why) => why.into(),
            TrainEvent::Ended => "ended".into(),
        });
        Ok(())
    })
    .expect("a run");
    // A format that is not faster on the CPU is not used, and the run says so.
    let notes = usize::from(Precision::Bf16.on_this_cpu() != Precision::Bf16);
    let wanted = "step 1; step 2; sample 2; saved checkpoint-2; step 3; step 4; measured true; sample 4; \
                  saved checkpoint-4; ended";
    assert_eq!(heard.join("; "), format!("began, {notes} note; {wanted}"));
}

/// Makes the next losses NaN.
fn poison(trainer: &Trainer) {
    let var = trainer.model().parameters().pop().expect("a parameter").var;
    var.set(&Tensor::full(f32::NAN, var.shape(), var.device()).expect("a tensor")).expect("one shape");
}

#[test]
fn a_run_that_no_longer_learns_goes_back_to_its_last_good_checkpoint() {
    let out = tempfile::tempdir().expect("a folder");
    let options = TrainOptions { max_steps: 12, checkpoint_every: 2, output_dir: Some(out.path().into()), ..options() };
    let mut run = trainer(adapted(), options);
    let mut at_four = Vec::new();
    let error = run.fit_with(&Progress::silent(), &mut |run, event| {
        match event {
            TrainEvent::Saved(folder) if folder.ends_with("checkpoint-4") => at_four = values(run.model()),
            TrainEvent::Stepped(step) if step.step == 6 => poison(run), // the next checkpoint holds no numbers
            _ => {}
        }
        Ok(())
    });
    let error = error.expect_err("no number");
    assert!(error.message().contains("the loss of step 7 is NaN"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("checkpoint-4")), "{error}");
    assert_eq!((run.steps(), values(run.model())), (4, at_four));
    assert!(out.path().join("diverged-6").is_dir() && !out.path().join("checkpoint-6").exists());
    assert_eq!(fitted(run).steps(), 12, "and goes on from there");
}

#[test]
fn a_loss_that_leaps_and_stays_stops_the_run() {
    let out = tempfile::tempdir().expect("a folder");
    let options = TrainOptions {
        max_steps: 60,
        checkpoint_every: 5,
        spike_factor: 1.5,
        output_dir: Some(out.path().into()),
        ..options()
    };
    let mut run = trainer(model(), options);
    let error = run.fit_with(&Progress::silent(), &mut |run, event| {
        if let TrainEvent::Stepped(step) = event
            && step.step == 25
        {
            let var = run.model().parameters().pop().expect("the head").var;
            let wild = (var.as_tensor() * 1e3).expect("f32");
            var.set(&wild).expect("one shape");
        }
        Ok(())
    });
    let error = error.expect_err("a leap");
    assert!(error.message().starts_with("the loss leapt"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("last good checkpoint")), "{error}");
    assert!((15..=25).contains(&run.steps()), "{}", run.steps());
}

fn blocked(out: PathBuf) -> Trainer {
    trainer(adapted(), TrainOptions { checkpoint_every: 2, output_dir: Some(out), ..options() })
}

#[test]
fn a_folder_that_cannot_be_written_is_noticed_before_the_first_step() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("file"), b"").expect("written");
    let mut run = blocked(dir.path().join("file/run"));
    let error = run.fit(&Progress::silent()).expect_err("no folder can be there");
    assert!(error.message().contains("file/run") && run.steps() == 0, "{error}");
}

#[test]
fn a_checkpoint_that_finds_no_room_loses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    let mut run = blocked(out.clone());
    // A file that cannot be moved is in the place of the second checkpoint: writing it fails at the last moment.
    let block = |out: &Path| std::fs::write(out.join("checkpoint-4"), b"in the way").expect("written");
    let error = run.fit_with(&Progress::silent(), &mut |_, event| {
        if let TrainEvent::Saved(_) = event {
            block(&out);
            std::fs::write(out.join(".replaced-checkpoint-4"), b"in the way").expect("written");
        }
        Ok(())
    });
    let error = error.expect_err("it cannot be written");
    assert!(error.message().contains("checkpoint-4"), "{error}");
    assert_eq!(run.steps(), 4, "what was done is in memory");
    assert_eq!(Trainer::latest_checkpoint(&out), Some(out.join("checkpoint-2")), "and the checkpoint before is whole");
    std::fs::remove_file(out.join("checkpoint-4")).expect("removed");
    std::fs::remove_file(out.join(".replaced-checkpoint-4")).expect("removed");
    let run = fitted(run);
    assert_eq!(losses(&run), losses(&fitted(trainer(adapted(), options()))));
}

#[test]
fn a_checkpoint_of_another_format_and_an_older_course_are_told_apart() {
    let dir = tempfile::tempdir().expect("a folder");
    let run = fitted(blocked(dir.path().into()));
    let again = |from: &str, overrides: Value| {
        Trainer::resume(&dir.path().join(from), Some(dataset()), &overrides, &Device::Cpu, &Progress::silent())
    };
    // Resuming from an earlier checkpoint renames the later ones.
    let back = fitted(again("checkpoint-2", json!({ "max_steps": 4, "schedule_steps": 6 })).expect("a checkpoint"));
    assert_eq!(losses(&back), losses(&run)[..4]);
    assert_eq!(Trainer::latest_checkpoint(dir.path()), Some(dir.path().join("checkpoint-4")));
    let state = dir.path().join("checkpoint-4/trainer_state.json");
    let text = std::fs::read_to_string(&state).expect("readable").replace("\"format\": 1", "\"format\": 7");
    std::fs::write(&state, text).expect("writable");
    // As written by a program without checksums.
    std::fs::remove_file(dir.path().join("checkpoint-4/checksums.json")).expect("removed");
    let error = again("", Value::Null).expect_err("another format");
    assert!(error.message().contains("format 7") && error.hint().is_some_and(|h| h.contains("etude")), "{error}");
}

#[test]
fn an_optimizer_tells_what_it_holds() {
    let run = trainer(model(), TrainOptions { ema: 0.5, ..options() });
    let weights = run.model().trainable();
    assert_eq!(run.memory(), (8 + 4 + 4) * weights);
    let adamw = AdamW::new(run.model().parameters(), TrainOptions { bits: 8, ..options() }.adamw()).expect("in range");
    assert!(adamw.memory() < 3 * weights);
}
