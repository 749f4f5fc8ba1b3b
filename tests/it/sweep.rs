//! `etude sweep`: trials as processes, stopped, killed, gone on with, cut short.

#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::practice::{pieces, send_signal};

const PATIENCE: Duration = Duration::from_secs(240);

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    /// Pieces, a small shape, a recipe of `steps` steps, and a sweep over it.
    fn new(steps: usize, sweep: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        pieces(&at("midi"));
        let shape = "hidden_size: 16\nnum_hidden_layers: 1\nnum_attention_heads: 2\nintermediate_size: 32\nmax_position_embeddings: 32\n";
        std::fs::write(at("shape.yaml"), shape).expect("written");
        let recipe = format!(
            "base_model: {}\nmethod: full\nmax_seq_len: 24\nval: 0.3\nseed: 3\nbatch_size: 2\nmax_steps: {steps}\n\
             eval_every: 5\neval_batches: 1\ncheckpoint_every: 10\nsave_total_limit: 1\nspike_factor: 0\n",
            at("shape.yaml").display()
        );
        std::fs::write(at("recipe.yaml"), recipe).expect("written");
        let sweep = format!("{sweep}  config: {{value: {}}}\n", at("recipe.yaml").display());
        std::fs::write(at("sweep.yaml"), sweep).expect("written");
        Self { dir }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn begin(&self, more: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etude"));
        command.args(["sweep", "--config"]).arg(self.dir.path().join("sweep.yaml"));
        command.arg("--data_dir").arg(self.dir.path().join("midi")).arg("--output_dir").arg(self.out()).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
    }

    fn finish(&self, more: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.begin(more).wait_with_output().expect("it ends");
        let printed = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{printed}\n{}", self.logs());
        printed
    }

    /// The output of the trials, for a failed test.
    fn logs(&self) -> String {
        (1..9).filter_map(|n| std::fs::read_to_string(self.out().join(format!("trial-{n}/log.txt"))).ok()).collect()
    }

    fn trials(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.out().join("sweep.json")).unwrap_or_default();
        let state: Value = serde_json::from_str(&text).unwrap_or_default();
        state["trials"].as_array().cloned().unwrap_or_default()
    }

    fn standings(&self) -> Vec<String> {
        self.trials().iter().map(|trial| trial["standing"].as_str().unwrap_or_default().to_string()).collect()
    }

    fn wait_until(&self, what: &str, seen: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !seen(self) {
            assert!(begun.elapsed() < PATIENCE, "{what} did not come: {:?}\n{}", self.standings(), self.logs());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The steps in the lines of a trial, in order.
    fn steps(&self, trial: usize) -> Vec<u64> {
        let lines = std::fs::read_to_string(self.out().join(format!("trial-{trial}/metrics.jsonl"))).expect("lines");
        let of = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            line.get("loss").map(|_| line["step"].as_u64().expect("a step"))
        };
        lines.lines().filter_map(of).collect()
    }
}

/// Values that no run can have: each trial fails.
#[test]
fn trials_that_all_fail_end_with_their_causes_and_are_tried_again() {
    let sweep = "method: grid\nmetric: {name: val_loss}\nparameters:\n  lr: {values: [-1.0, -2.0]}\n";
    let bench = Bench::new(5, sweep);
    for time in 1..=2 {
        let ended = bench.begin(&[]).wait_with_output().expect("it ends");
        let (printed, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert_eq!(ended.status.code(), Some(1), "{printed}{err}");
        assert!(err.contains("all 2 trials failed") && printed.contains("cause"), "{printed}{err}");
        let log = std::fs::read_to_string(bench.out().join("trial-1/log.txt")).expect("it is there");
        assert_eq!(log.matches("lr must").count(), time, "tried again: {log}");
    }
}

fn checkpoints(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().starts_with("checkpoint-")).count()
}

#[test]
fn a_sweep_that_is_stopped_and_killed_goes_on_and_does_nothing_twice() {
    let grid = "method: grid\nmetric: {name: val_loss}\nparameters:\n  lr: {values: [0.01, 0.001]}\n  betas: {values: [[0.9, 0.999], [0.8, 0.99]]}\n";
    let bench = Bench::new(200, grid);
    // Stopped: it waits for its trials, which keep checkpoints.
    let child = bench.begin(&["--jobs", "2"]);
    bench.wait_until("a checkpoint", |bench| checkpoints(&bench.out().join("trial-1")) > 0);
    assert!(send_signal(child.id(), Signal::SIGINT));
    let stopped = child.wait_with_output().expect("it ends");
    assert_eq!(stopped.status.code(), Some(130), "{}", String::from_utf8_lossy(&stopped.stderr));
    assert!(!bench.standings().contains(&"running".to_string()), "{:?}", bench.standings());
    // Killed, with trials at work that live on.
    let mut child = bench.begin(&["--jobs", "2"]);
    bench.wait_until("a finished trial", |bench| {
        let standings = bench.standings();
        standings.contains(&"finished".to_string()) && standings.contains(&"running".to_string())
    });
    child.kill().expect("SIGKILL");
    child.wait().expect("reaped");
    let kept: Vec<usize> =
        bench.standings().iter().enumerate().filter(|(_, s)| *s == "finished").map(|(i, _)| i + 1).collect();
    assert!(!kept.is_empty());
    let lines = |trial: usize| std::fs::read(bench.out().join(format!("trial-{trial}/metrics.jsonl"))).expect("lines");
    let before: Vec<Vec<u8>> = kept.iter().map(|&trial| lines(trial)).collect();
    let printed = bench.finish(&["--jobs", "2"]);
    assert!(printed.contains("going on") && printed.contains("Sweep: 4 of 4 trials, best trial"), "{printed}");
    assert_eq!(bench.standings(), ["finished"; 4]);
    assert_eq!(kept.iter().map(|&trial| lines(trial)).collect::<Vec<_>>(), before, "what was finished is left alone");
    for trial in 1..=4 {
        assert_eq!(bench.steps(trial), (1..=200).collect::<Vec<u64>>(), "trial {trial}");
    }
    assert!(bench.out().join("sweep.svg").is_file());
    // There is nothing left to do.
    assert!(bench.finish(&[]).contains("Sweep: 4 of 4 trials"));
}

#[test]
fn a_trial_that_lags_behind_is_stopped_and_keeps_its_checkpoint() {
    let race = "method: grid\nmetric: {name: val_loss}\nearly_terminate: {type: hyperband, min_iter: 2}\nparameters:\n  lr: {values: [0.01, 0.0000001, 0.009]}\n";
    let bench = Bench::new(600, race);
    let printed = bench.finish(&["--count", "2"]);
    assert_eq!(bench.standings(), ["finished", "stopped"], "{printed}");
    assert_eq!(bench.steps(1).len(), 600);
    let stopped = bench.out().join("trial-2");
    assert!(bench.steps(2).len() < 600 && checkpoints(&stopped) == 1, "{:?}", bench.steps(2).last());
    let values = |trial: usize| bench.trials()[trial - 1]["values"].as_array().map_or(0, Vec::len);
    assert_eq!(values(1), 120);
    assert!((2..120).contains(&values(2)));
    let printed = bench.finish(&["--count", "3"]);
    assert!(printed.contains("3 of 3 trials"), "{printed}");
}

#[test]
fn trials_that_cannot_run_say_why() {
    let bench = Bench::new(10, "method: grid\nmetric: {name: val_loss}\nparameters:\n  lrr: {values: [1, 2, 3, 4]}\n");
    let output = bench.begin(&[]).wait_with_output().expect("it ends");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("the first 3 trials failed") && printed.contains("did you mean '--lr'"), "{printed}");
    let bench = Bench::new(10, "method: grid\nmetric: {name: accuracy}\nparameters:\n  lr: {values: [0.01]}\n");
    let printed = bench.finish(&[]);
    assert!(printed.contains("it logged no accuracy; there are: ") && printed.contains("val_loss"), "{printed}");
}
