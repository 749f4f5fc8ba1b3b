//! Ranks as threads of this process, over the loopback.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use super::{Group, World};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::train::tests::{adapted, dataset, losses, model, options, values};
use crate::train::{BatchSize, TrainEvent, TrainOptions, Trainer};

/// Runs `work` on `size` ranks at once: the results by rank.
fn on_ranks<T: Send>(size: usize, work: impl Fn(Arc<Group>, Progress) -> T + Sync) -> Vec<T> {
    let door = TcpListener::bind("127.0.0.1:0").and_then(|door| door.local_addr()).expect("a free port");
    let world = |rank| World {
        rank,
        size,
        local_rank: rank,
        local_size: size,
        launcher: "torchrun",
        meeting: Some(("127.0.0.1".into(), door.port())),
        job: u64::from(door.port()),
    };
    std::thread::scope(|scope| {
        let ranks: Vec<_> = (0..size)
            .map(|rank| {
                let work = &work;
                scope.spawn(move || {
                    let progress = Progress::silent();
                    let group = Group::join(Some(world(rank)), &Device::Cpu, progress.interrupt()).expect("all come");
                    work(group, progress)
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().expect("no panic")).collect()
    })
}

fn close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (step, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-6 * a.abs().max(1.0), "step {}: {a} and {b}", step + 1);
    }
}

#[test]
fn a_sum_has_the_same_bits_on_every_rank_whatever_its_length() {
    for size in [2, 3, 4] {
        for len in [0, 1, 3, 1000, 70_001] {
            let of = |rank: usize, i: usize| ((i * 7 + rank * 13) % 101) as f32 * 0.37 - 3.0;
            let sums = on_ranks(size, |group, _| {
                let values: Vec<f32> = (0..len).map(|i| of(group.rank(), i)).collect();
                let mine = Tensor::from_vec(values, len, &Device::Cpu).expect("a tensor");
                group.sum(mine).and_then(|sum| Ok(sum.to_vec1::<f32>()?)).expect("a sum")
            });
            for sum in &sums[1..] {
                assert_eq!(sum, &sums[0]);
            }
            for (i, &sum) in sums[0].iter().enumerate() {
                let exact: f64 = (0..size).map(|rank| f64::from(of(rank, i))).sum();
                assert!((f64::from(sum) - exact).abs() < 1e-4, "{size} ranks, place {i}: {sum} and {exact}");
            }
        }
    }
}

#[test]
fn words_and_weights_go_round() {
    let gathered = on_ranks(3, |group, _| {
        group.barrier().expect("all come");
        let all = group.gather(&[group.rank() as u8; 3]).expect("all send");
        let mine = Tensor::full(group.rank() as f32 + 5.0, (2, 2), &Device::Cpu).expect("a tensor");
        let first = group.of_first(mine).and_then(|t| Ok(t.flatten_all()?.to_vec1::<f32>()?)).expect("all hear");
        (
            all,
            first,
            group.agree("numbers", &7_u64.to_le_bytes()).is_ok(),
            group.agree("ranks", &[group.rank() as u8; 8]),
        )
    });
    for (all, first, same, other) in gathered {
        assert_eq!(all, [[0; 3], [1; 3], [2; 3]]);
        assert_eq!(first, [5.0; 4]);
        assert!(same && other.is_err_and(|e| e.message() == "rank 1 has other ranks than rank 0"));
    }
}

/// A run of `size` ranks with a number of rows and micro-batches each: the losses, norms, held-out losses and weights.
fn trained(size: usize, rows: usize, micros: usize, plain: bool, again: bool) -> Vec<(Vec<f64>, Vec<f64>, Vec<f32>)> {
    let options = TrainOptions {
        batch_size: BatchSize::Rows(rows),
        gradient_accumulation_steps: micros,
        gradient_checkpointing: again,
        eval_every: 3,
        ..options()
    };
    on_ranks(size, |group, progress| {
        let model = if plain { model() } else { adapted() };
        let mut run = Trainer::in_group(group, model, dataset(), options.clone()).expect("all fits");
        run.fit(&progress).expect("a run");
        let others = run.history().iter().flat_map(|step| [step.grad_norm, step.val_loss.unwrap_or(0.0)]).collect();
        (losses(&run), others, values(run.model()))
    })
}

fn alone(rows: usize, micros: usize, plain: bool) -> (Vec<f64>, Vec<f64>) {
    let options = TrainOptions {
        batch_size: BatchSize::Rows(rows),
        gradient_accumulation_steps: micros,
        eval_every: 3,
        ..options()
    };
    let model = if plain { model() } else { adapted() };
    let mut run = Trainer::new(model, dataset(), options).expect("all fits");
    run.fit(&Progress::silent()).expect("a run");
    let others = run.history().iter().flat_map(|step| [step.grad_norm, step.val_loss.unwrap_or(0.0)]).collect();
    (losses(&run), others)
}

#[test]
fn two_and_four_ranks_train_to_the_losses_of_one() {
    // With dropout the unit is a micro-batch: its masks are the same on any rank.
    let (one, others) = alone(1, 8, false);
    for (size, again) in [(2, false), (4, false), (2, true)] {
        let ranks = trained(size, 1, 8 / size, false, again);
        for (losses, norms, weights) in &ranks {
            close(losses, &one);
            close(norms, &others);
            assert_eq!(
                (losses, norms, weights),
                (&ranks[0].0, &ranks[0].1, &ranks[0].2),
                "all ranks have the same bits"
            );
        }
    }
}

#[test]
fn ranks_times_rows_is_one_batch() {
    // All weights train, the tied embedding among them; rows differ in length, so that the ranks weigh differently.
    let (one, norms) = alone(8, 1, true);
    for size in [2, 4] {
        let ranks = trained(size, 8 / size, 1, true, false);
        close(&ranks[0].0, &one);
        close(&ranks[0].1, &norms);
    }
}

#[test]
fn a_stop_at_one_rank_ends_all_after_the_same_step_with_a_checkpoint() {
    let out = tempfile::tempdir().expect("a folder");
    let options = TrainOptions { max_steps: 100_000, output_dir: Some(out.path().into()), ..options() };
    let ends = on_ranks(3, |group, progress| {
        let rank = group.rank();
        let mut run = Trainer::in_group(group, adapted(), dataset(), options.clone()).expect("all fits");
        // However slow the machine is, there is a step to keep.
        run.step(&progress).expect("nothing stops it");
        let flag = progress.interrupt().clone();
        let stopper = (rank == 2).then(|| {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                flag.trigger();
            })
        });
        let error = run.fit(&progress).expect_err("stopped");
        if let Some(stopper) = stopper {
            stopper.join().expect("no panic");
        }
        (error.is_interrupted(), run.steps(), values(run.model()), progress.interrupt().is_set())
    });
    for end in &ends {
        assert!(end.0 && end.3, "every rank is told to stop");
        assert_eq!((end.1, &end.2), (ends[0].1, &ends[0].2));
    }
    assert_eq!(Trainer::latest_checkpoint(out.path()), Some(out.path().join(format!("checkpoint-{}", ends[0].1))));
}

fn resumed(group: &Arc<Group>, progress: &Progress, out: &Path, overrides: &Value) -> Result<Trainer> {
    let mut run = Trainer::resume_in_group(group, out, Some(dataset()), overrides, &Device::Cpu, progress)?;
    run.fit(progress)?;
    Ok(run)
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let out = tempfile::tempdir().expect("a folder");
    let long = TrainOptions {
        batch_size: BatchSize::Rows(1),
        max_steps: 3,
        schedule_steps: Some(6),
        ema: 0.9,
        output_dir: Some(out.path().into()),
        ..options()
    };
    let whole = TrainOptions { max_steps: 6, gradient_accumulation_steps: 4, output_dir: None, ..long.clone() };
    let mut one = Trainer::new(adapted(), dataset(), whole).expect("all fits");
    one.fit(&Progress::silent()).expect("a run");
    on_ranks(4, |group, progress| {
        let mut run = Trainer::in_group(group, adapted(), dataset(), long.clone()).expect("all fits");
        run.fit(&progress).expect("a run");
    });
    let two = on_ranks(2, |group, progress| {
        losses(&resumed(&group, &progress, out.path(), &json!({ "max_steps": 5 })).expect("a checkpoint"))
    });
    assert_eq!(two[0], two[1]);
    let last = resumed(&Group::single(), &Progress::silent(), out.path(), &json!({ "max_steps": 6 })).expect("a run");
    close(&losses(&last), &losses(&one));
    let refused = on_ranks(3, |group, progress| {
        resumed(&group, &progress, out.path(), &json!({ "max_steps": 9 })).expect_err("4 batches for 3 ranks")
    });
    assert!(
        refused.iter().all(|e| e.message().contains("on 1 ranks") || e.message().contains("4 ranks")),
        "{refused:?}"
    );
}

#[test]
fn ranks_that_do_not_have_the_same_are_told_so() {
    let errors = on_ranks(2, |group, _| {
        let mut data = dataset();
        if group.rank() == 1 {
            std::mem::swap(&mut data.train, &mut data.val);
        }
        Trainer::in_group(group, adapted(), data, options()).expect_err("other data")
    });
    assert!(errors.iter().all(|e| e.message().contains("other data")), "{errors:?}");
    let errors = on_ranks(2, |group, _| {
        let options = TrainOptions { lr: 1e-3 * (1.0 + group.rank() as f64), ..options() };
        Trainer::in_group(group, adapted(), dataset(), options).expect_err("other options")
    });
    assert!(errors.iter().all(|e| e.message().contains("other options")), "{errors:?}");
    // Weights that differ are made those of rank 0.
    let weights = on_ranks(2, |group, _| {
        let model = adapted();
        if group.rank() == 1 {
            let var = model.parameters()[0].var.clone();
            var.set(&(var.as_tensor() + 1.0).expect("f32")).expect("one shape");
        }
        let run = Trainer::in_group(group, model, dataset(), options()).expect("all fits");
        values(run.model())
    });
    assert_eq!(weights[0], weights[1]);
    assert_eq!(weights[0], values(&adapted()));
}

#[test]
fn what_fails_at_one_rank_ends_all() {
    let out = tempfile::tempdir().expect("a folder");
    std::fs::write(out.path().join("file"), b"").expect("written");
    let options = TrainOptions { output_dir: Some(out.path().join("file/run")), ..options() };
    let begun = Instant::now();
    let errors = on_ranks(3, |group, progress| {
        // A rank that is late is told while it still makes its trainer.
        let run = Trainer::in_group(group, adapted(), dataset(), options.clone());
        run.and_then(|mut run| run.fit(&progress)).expect_err("there can be no folder")
    });
    assert!(errors[0].message().contains("file/run"), "{errors:?}");
    assert!(errors[1..].iter().all(|e| e.message().starts_with("rank 0 could not go on")), "{errors:?}");
    assert!(begun.elapsed() < Duration::from_secs(90), "nobody waits for ever");
}

#[test]
fn a_loss_that_is_no_number_at_one_rank_stops_all_with_the_weights_kept() {
    let ends = on_ranks(2, |group, progress| {
        let (rank, options) = (group.rank(), TrainOptions { max_steps: 50, ..options() });
        let mut run = Trainer::in_group(group, adapted(), dataset(), options).expect("all fits");
        let error = run.fit_with(&progress, &mut |run, event| {
            if let (0, TrainEvent::Stepped(step)) = (rank, event)
                && step.step == 3
            {
                let var = run.model().parameters().pop().expect("a parameter").var;
                var.set(&Tensor::full(f32::NAN, var.shape(), var.device()).expect("a tensor")).expect("one shape");
            }
            Ok(())
        });
        (error.expect_err("no number"), run.steps())
    });
    for (error, steps) in ends {
        assert!(error.message().contains("the loss of step 4 is NaN"), "{error}");
        assert_eq!(steps, 3);
    }
}

#[test]
fn memory_decides_the_micro_batches_of_all_ranks_together() {
    let auto = TrainOptions { batch_size: BatchSize::Auto, global_batch_size: 8, max_steps: 2, ..options() };
    let runs = on_ranks(2, |group, progress| {
        let mut run = Trainer::in_group(group, adapted(), dataset(), auto.clone()).expect("all fits");
        run.fit(&progress).expect("a run");
        (run.options().rows() * run.options().gradient_accumulation_steps, losses(&run))
    });
    assert!(runs.iter().all(|(rows, _)| *rows == 4) && runs[0].1 == runs[1].1, "{runs:?}");
    let errors = on_ranks(3, |group, _| {
        Trainer::in_group(group, adapted(), dataset(), auto.clone()).expect_err("8 rows for 3 ranks")
    });
    assert!(errors.iter().all(|e| e.message().contains("8, which 3 ranks cannot share")), "{errors:?}");
}

#[test]
fn ranks_that_do_not_come_are_named() {
    let world = World {
        rank: 0,
        size: 3,
        local_rank: 0,
        local_size: 3,
        launcher: "torchrun",
        meeting: Some(("127.0.0.1".into(), 0)),
        job: 1,
    };
    let wait = Duration::from_millis(100);
    let error = super::rendezvous::rendezvous(&world, wait, &Interrupt::new()).expect_err("nobody comes");
    assert!(error.message().contains("rank 1, 2 did not come"), "{error}");
    let stopped = Interrupt::new();
    stopped.trigger();
    assert!(super::rendezvous::rendezvous(&world, wait, &stopped).is_err_and(|e| e.is_interrupted()));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it has one").port();
    let error = super::rendezvous::rendezvous(
        &World { meeting: Some(("127.0.0.1".into(), port)), ..world },
        wait,
        &Interrupt::new(),
    );
    let error = error.expect_err("the port is taken");
    assert!(
        error.message().contains("rank 0 cannot wait at") && error.hint().is_some_and(|h| h.contains("MASTER_PORT"))
    );
}
