//! `etude train` and its kin, as one types them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use etude::nn::Precision;

/// A folder of pieces, a tiny shape, and a recipe over it.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().expect("a folder") };
        std::fs::create_dir(bench.path("midi")).expect("made");
        let script = "for i in 0..5 { chords(`Dm7 G7 Cmaj7 A7`).transpose(i).score().save(`${args[0]}/${i}.mid`) }";
        let made = bench.etude(&["-e", script, "midi"]);
        assert!(made.status.success(), "{}", err(&made));
        let shape = "hidden_size: 16\nnum_hidden_layers: 1\nnum_attention_heads: 2\nintermediate_size: 32\n";
        std::fs::write(bench.path("tiny.yaml"), shape).expect("written");
        let recipe = "base_model: tiny.yaml\nr: 2\nmax_seq_len: 24\nbatch_size: 2\nmax_steps: 6\nval: 0.3\n";
        std::fs::write(bench.path("recipe.yaml"), recipe).expect("written");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etude"));
        command.current_dir(self.dir.path()).args(["--threads", "1"]).args(args).stdin(Stdio::null());
        command
    }

    fn etude(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it runs")
    }

    fn train(&self, args: &[&str]) -> Output {
        self.etude(&[&["train", "--config", "recipe.yaml"], args].concat())
    }
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn steps(run: &Path) -> Option<u64> {
    let checkpoints = std::fs::read_dir(run).ok()?.flatten();
    checkpoints.filter_map(|e| e.file_name().to_str()?.strip_prefix("checkpoint-")?.parse().ok()).max()
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
        assert_eq!(output.status.code(), Some(1), "{args:?}");
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
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(kill.success());
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
