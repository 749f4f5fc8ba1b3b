//! `etude train` and its kin, as one types them.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use etude::nn::Precision;

use crate::practice::{Practice, err, out, steps};

struct Bench(Practice);

impl Bench {
    fn new() -> Self {
        Self(Practice::new(1, "batch_size: 2\nmax_steps: 6\n"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        self.0.etude(args)
    }

    fn etude(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it runs")
    }

    fn train(&self, args: &[&str]) -> Output {
        self.etude(&[&["train", "--config", "recipe.yaml"], args].concat())
    }
}

#[test]
fn pieces_become_a_dataset_a_model_its_figures_and_a_solo() {
    let bench = Bench::new();
    let made =
        bench.etude(&["prepare", "--midi_dir", "midi", "--output_dir", "data", "--max_seq_len", "24", "--augment"]);
    assert!(made.status.success() && out(&made).contains("saved in data"), "{}", err(&made));
    let trained = bench.train(&[
        "--data-dir",
        "data",
        "--output_dir",
        "run",
        "--gradient_accumulation_steps",
        "2",
        "--mixed_precision",
        "bf16",
        "--checkpoint_every",
        "2",
        "--eval_every",
        "3",
        "--save_total_limit",
        "3",
    ]);
    assert!(trained.status.success() && out(&trained).contains("best_model"), "{}{}", out(&trained), err(&trained));
    // Where the CPU is no faster in bf16, it is not used, and the run says so.
    let unused = Precision::Bf16.on_this_cpu() == Precision::F32;
    assert_eq!(err(&trained).contains("mixed_precision: products stay f32"), unused, "{}", err(&trained));
    for file in ["checkpoint-2", "checkpoint-4", "checkpoint-6", "best_model", "settings.yaml", "config.json"] {
        assert!(bench.path("run").join(file).exists(), "{file}");
    }
    let measured =
        bench.etude(&["evaluate", "--checkpoint", "run/best_model", "--data_dir", "data", "--style_takes", "2"]);
    assert!(measured.status.success(), "{}", err(&measured));
    for word in ["perplexity", "note accuracy", "harmonic consistency", " to ", "overlap"] {
        assert!(out(&measured).contains(word), "{word}: {}", out(&measured));
    }
    let played = bench.etude(&[
        "generate",
        "--checkpoint",
        "run/best_model",
        "--chords",
        "Cmaj7 Am7",
        "--output",
        "output/solo.mid",
        "--temperature",
        "0.9",
        "--num_samples",
        "2",
        "--max_length",
        "20",
        "--seed",
        "3",
    ]);
    assert!(played.status.success(), "{}", err(&played));
    assert!(bench.path("output/solo-1.mid").is_file() && bench.path("output/solo-2.mid").is_file());
}

#[test]
fn a_slip_is_named_with_its_remedy_and_another_run_is_not_overwritten() {
    let bench = Bench::new();
    let refused = |args: &[&str], word: &str| {
        let output = bench.train(args);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}");
        assert!(err(&output).contains(word), "{args:?}: {}", err(&output));
    };
    refused(&["--data_dir", "midi"], "--output_dir");
    refused(&["--output_dir", "run"], "--data_dir");
    refused(&["--data_dir", "mdi", "--output_dir", "run"], "no file or folder mdi");
    refused(&["--data_dir", "midi", "--output_dir", "run", "--max_step", "3"], "'--max_steps'");
    refused(&["midi"], "--key value");
    assert!(!bench.path("run").exists());
    let begun = bench.train(&["--data_dir", "midi", "--output_dir", "run", "--max_steps", "2"]);
    assert!(begun.status.success(), "{}", err(&begun));
    refused(&["--data_dir", "midi", "--output_dir", "run"], "--resume");
    refused(&["--resume", "--output_dir", "run", "--batch_size", "3"], "batch_size cannot change");
    std::fs::rename(bench.path("midi"), bench.path("elsewhere")).expect("moved");
    refused(&["--resume", "--output_dir", "run"], "the data of the run in run/checkpoint-2");
    assert_eq!(steps(&bench.path("run")), Some(2), "nothing is lost");
}

#[cfg(unix)]
#[cfg(unix)]
#[test]
fn ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on() {
    let bench = Bench::new();
    let args =
        ["train", "--config", "recipe.yaml", "--data_dir", "midi", "--output_dir", "run", "--checkpoint_every", "1"];
    let mut command = bench.command(&[&args[..], &["--max_steps", "1000000", "--warmup_steps", "0"]].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let begun = Instant::now();
    while steps(&bench.path("run")).is_none() {
        assert!(begun.elapsed() < Duration::from_secs(300), "no checkpoint yet");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(crate::practice::send_signal(child.id(), nix::sys::signal::Signal::SIGINT));
    let stopped = child.wait_with_output().expect("it ends");
    assert_eq!(stopped.status.code(), Some(130), "{}", err(&stopped));
    let done = steps(&bench.path("run")).expect("a checkpoint");
    assert!(err(&stopped).contains(&format!("stopped at step {done} of 1000000")), "{}", err(&stopped));
    assert!(err(&stopped).contains("etude train --resume --output_dir run"), "{}", err(&stopped));
    let more = (done + 2).to_string();
    let rest = bench.etude(&["train", "--resume", "--output_dir", "run", "--max_steps", &more]);
    assert!(rest.status.success() && out(&rest).contains(&format!("going on from step {done}")), "{}", err(&rest));
    assert_eq!(steps(&bench.path("run")), Some(done + 2));
}
