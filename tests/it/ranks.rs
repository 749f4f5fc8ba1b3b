//! `etude train` on many ranks: the losses of one, ranks that are killed, ranks that are asked to stop.

#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::practice::{Practice, err, send_signal, steps};

struct Bench(Practice);

impl Bench {
    fn new() -> Self {
        Self(Practice::new(2, "batch_size: 1\nlr: 1e-3\nmax_steps: 8\neval_every: 4\n"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn train(&self, args: &[&str]) -> Command {
        let mut command = self.0.etude(&["train", "--config", "recipe.yaml", "--data_dir", "midi"]);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts ranks as torchrun would.
    fn ranks(&self, size: usize, args: &[&str]) -> Vec<Child> {
        let door = std::net::TcpListener::bind("127.0.0.1:0").and_then(|door| door.local_addr()).expect("a port");
        let rank = |rank: usize| {
            let mut command = self.train(args);
            let numbers = [("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", size), ("LOCAL_WORLD_SIZE", size)];
            command.envs(numbers.map(|(name, value)| (name, value.to_string())));
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", door.port().to_string());
            command.spawn().expect("it runs")
        };
        (0..size).map(rank).collect()
    }

    /// Waits for the first checkpoints of a run.
    fn under_way(&self, run: &str) {
        let begun = Instant::now();
        while steps(&self.path(run)).is_none_or(|step| step < 2) {
            assert!(begun.elapsed() < Duration::from_secs(300), "no checkpoint yet");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn ended(children: Vec<Child>) -> Vec<Output> {
    children.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect()
}

/// The training and the held-out losses of a run, from its lines.
fn losses(run: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("lines");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line"));
    lines.filter_map(|line| line.get("loss").or(line.get("val_loss"))?.as_f64()).collect()
}

fn close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6 * a.max(1.0)), "{a:?}\n{b:?}");
}

#[test]
fn ranks_train_to_the_losses_of_one_process_and_the_first_alone_speaks() {
    let bench = Bench::new();
    let one = bench.train(&["--output_dir", "one", "--gradient_accumulation_steps", "4"]).output().expect("it runs");
    assert!(one.status.success(), "{}", err(&one));
    let wanted = losses(&bench.path("one"));
    assert_eq!(wanted.len(), 8 + 2);
    for (size, micros) in [(2, "2"), (4, "1")] {
        let out = format!("ranks{size}");
        let all = ended(bench.ranks(size, &["--output_dir", &out, "--gradient_accumulation_steps", micros]));
        for (rank, output) in all.iter().enumerate() {
            assert!(output.status.success(), "rank {rank}: {}", err(output));
            assert_eq!(rank == 0, !output.stdout.is_empty(), "rank {rank} of {size}");
        }
        assert!(
            err(&all[0]).contains(&format!("{size} ranks (tcp) take a step of 4 rows together")),
            "{}",
            err(&all[0])
        );
        close(&losses(&bench.path(&out)), &wanted);
        assert!(bench.path(&out).join("best_model").is_dir());
    }
    let started = bench.train(&["--output_dir", "own", "--nproc_per_node", "2", "--strategy", "ddp"]);
    let started = { started }.args(["--gradient_accumulation_steps", "2"]).output().expect("it runs");
    assert!(started.status.success(), "{}", err(&started));
    close(&losses(&bench.path("own")), &wanted);
}

const LONG: [&str; 8] =
    ["--max_steps", "1000000", "--warmup_steps", "0", "--checkpoint_every", "1", "--save_total_limit", "2"];

#[test]
fn a_killed_rank_ends_the_run_with_the_last_step_kept_and_it_goes_on() {
    let bench = Bench::new();
    for (victim, keeper) in [(2, 0), (0, 1)] {
        let out = format!("killed{victim}");
        let mut children = bench.ranks(3, &[&LONG[..], &["--output_dir", &out]].concat());
        bench.under_way(&out);
        children[victim].kill().expect("SIGKILL");
        let killed = Instant::now();
        let all = ended(children);
        assert!(killed.elapsed() < Duration::from_secs(60), "{:?}", killed.elapsed());
        for (rank, output) in all.iter().enumerate().filter(|(rank, _)| *rank != victim) {
            assert_eq!(output.status.code(), Some(1), "rank {rank}: {}", err(output));
            assert!(err(output).contains(&format!("lost rank {victim}: its process ended")), "{}", err(output));
        }
        let kept = steps(&bench.path(&out)).expect("a checkpoint");
        let words = err(&all[keeper]);
        assert!(words.contains(&format!("checkpoint-{kept}")) && words.contains("--resume"), "{words}");
        // Two ranks go on where three were, once they can share the rows of a step; one always can.
        let more = (kept + 2).to_string();
        let args = ["train", "--resume", "--output_dir", &out, "--max_steps", &more];
        let rest = bench.0.etude(&args).output().expect("it runs");
        assert!(rest.status.success(), "{}", err(&rest));
        assert_eq!(steps(&bench.path(&out)), Some(kept + 2));
    }
}

#[test]
fn a_rank_that_is_asked_to_stop_stops_all() {
    let bench = Bench::new();
    let children = bench.ranks(2, &[&LONG[..], &["--output_dir", "run"]].concat());
    bench.under_way("run");
    assert!(send_signal(children[1].id(), Signal::SIGTERM));
    let all = ended(children);
    for output in &all {
        assert_eq!(output.status.code(), Some(130), "{}", err(output));
    }
    let kept = steps(&bench.path("run")).expect("a checkpoint");
    assert!(err(&all[0]).contains(&format!("stopped at step {kept} of 1000000")), "{}", err(&all[0]));
}

#[test]
fn half_an_environment_is_refused() {
    let bench = Bench::new();
    let output = bench.train(&["--output_dir", "run"]).env("WORLD_SIZE", "2").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("WORLD_SIZE is set, but RANK is not"), "{}", err(&output));
}
