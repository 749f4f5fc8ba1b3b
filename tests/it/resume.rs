//! Runs in folders that are there already: used ones, two at once, damaged checkpoints, settings beside `--resume`.

#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::practice::{Practice, err, out, pieces, steps};

/// A run of a number of steps in `run`, with a checkpoint after each second one.
fn begun(steps: u64) -> Practice {
    let bench = Practice::new(2, "batch_size: 2\nmethod: lora\ncheckpoint_every: 2\nwarmup_steps: 100\n");
    let done = train(&bench, &["--data_dir", "midi", "--output_dir", "run", "--max_steps", &steps.to_string()]);
    assert!(done.status.success(), "{}", err(&done));
    assert!(err(&done).contains("warmup_steps: 0 instead of 100"), "a short run cuts the warm-up: {}", err(&done));
    bench
}

fn train(bench: &Practice, args: &[&str]) -> Output {
    bench.etude(&[&["train", "--config", "recipe.yaml"], args].concat()).output().expect("it runs")
}

fn refused(bench: &Practice, args: &[&str], words: &[&str]) {
    let output = train(bench, args);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {}", out(&output));
    for word in words {
        assert!(err(&output).contains(word), "{args:?}: '{word}' in {}", err(&output));
    }
}

fn losses(run: &Path) -> Vec<f64> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).expect("lines");
    let line = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["loss"].as_f64();
    text.lines().filter_map(line).collect()
}

fn bytes_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("listed").map(|entry| entry.expect("an entry").path());
    let mut all: Vec<_> = entries.map(|path| (path.display().to_string(), fs::read(&path).expect("a file"))).collect();
    all.sort();
    all
}

#[test]
fn settings_beside_resume_are_done_or_refused() {
    let bench = begun(2);
    let resume = ["--resume", "--output_dir", "run"];
    pieces(&bench.path("others"));
    fs::remove_file(bench.path("others/3.mid")).expect("removed");
    for (flag, value, was) in [
        ("--r", "8", "has 2"),
        ("--lora_alpha", "99", "has"),
        ("--max_seq_len", "48", "has 24"),
        ("--val", "0.5", "has 0.3"),
        ("--augment.transpose", "3", "augment"),
        ("--method", "full", "has lora"),
        ("--base_model", "base", "has tiny.yaml"),
        ("--tokenizer", "remi", "cannot change in the middle"),
        ("--target_modules", "q_proj", "target_modules"),
        ("--data_dir", "others", "not the data of the run"),
        ("--batch_size", "3", "batch_size cannot change"),
        ("--init_from", "run", "give one of them"),
    ] {
        refused(&bench, &[&resume[..], &[flag, value]].concat(), &[was]);
    }
    refused(&bench, &[&resume[..], &["--overwrite"]].concat(), &["give one of them"]);
    assert_eq!(steps(&bench.path("run")), Some(2), "nothing is lost");
    // The options that the run began with, given again; the same pieces in another folder; options that may change.
    fs::rename(bench.path("midi"), bench.path("moved")).expect("moved");
    let same = ["--r", "2", "--val", "0.3", "--base_model", "tiny.yaml", "--data_dir", "moved"];
    let rest = train(&bench, &[&resume[..], &same, &["--max_steps", "4", "--lr", "1e-3"]].concat());
    assert!(rest.status.success() && out(&rest).contains("going on from step 2 of 4"), "{}{}", out(&rest), err(&rest));
    assert_eq!(steps(&bench.path("run")), Some(4));
    // A run says the same of itself before and after.
    let record: Value =
        serde_json::from_slice(&fs::read(bench.path("run/run.json")).expect("it is there")).expect("JSON");
    assert_eq!(record["config"]["model"]["num_key_value_heads"], json!(2));
    assert_eq!(record["config"]["lora"]["target_modules"][0], json!("down_proj"));
}

#[test]
fn an_earlier_checkpoint_is_gone_on_from_and_none_is_written_over() {
    let bench = begun(6);
    let two = bench.path("run/checkpoint-2");
    let (before, late) = (bytes_of(&two), bytes_of(&bench.path("run/checkpoint-6")));
    let rest = train(&bench, &["--resume", "--output_dir", "run/checkpoint-2", "--max_steps", "6"]);
    assert!(rest.status.success() && out(&rest).contains("going on from step 2"), "{}{}", out(&rest), err(&rest));
    assert!(err(&rest).contains("checkpoint-6 is called left-6 from now on"), "{}", err(&rest));
    assert_eq!(bytes_of(&two), before);
    let left = bytes_of(&bench.path("run/left-6"));
    assert!(left.iter().zip(&late).all(|(left, late)| left.1 == late.1), "the one that was left is as it was");
    assert_eq!(losses(&bench.path("run")).len(), 6, "each step is there once");
    // A checkpoint is not a folder for a new run.
    for more in [&[][..], &["--overwrite"]] {
        let new = ["--data_dir", "midi", "--output_dir", "run/checkpoint-2"];
        refused(&bench, &[&new[..], more].concat(), &["is a checkpoint of a run"]);
    }
    assert_eq!(bytes_of(&two), before);
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let bench = begun(6);
    let whole = losses(&bench.path("run"));
    let file = |name: &str| bench.path("run").join(name);
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).expect("it is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).expect("written");
    };
    flip(&file("checkpoint-6/adapter_model.safetensors"));
    let state = fs::read(file("checkpoint-4/trainer_state.json")).expect("it is there");
    fs::write(file("checkpoint-4/trainer_state.json"), &state[..state.len() / 2]).expect("cut");
    refused(&bench, &["--resume", "--output_dir", "run/checkpoint-6"], &["adapter_model.safetensors", "other bytes"]);
    let rest = train(&bench, &["--resume", "--output_dir", "run"]);
    assert!(rest.status.success() && out(&rest).contains("going on from step 2"), "{}{}", out(&rest), err(&rest));
    let stderr = err(&rest);
    assert!(stderr.contains("checkpoint-6 is damaged: adapter_model.safetensors holds other bytes"), "{stderr}");
    assert!(stderr.contains("checkpoint-4 is damaged: trainer_state.json has"), "{stderr}");
    assert!(stderr.contains("the run goes on from checkpoint-2"), "{stderr}");
    assert!(file("damaged-6").is_dir() && file("damaged-4").is_dir(), "they are set aside");
    assert_eq!(losses(&bench.path("run")), whole, "the same steps once more");
    for step in [2, 4, 6] {
        flip(&file(&format!("checkpoint-{step}/config.json")));
    }
    refused(&bench, &["--resume", "--output_dir", "run"], &["no whole checkpoint", "checkpoint-2 is damaged"]);
}

#[test]
fn a_used_folder_and_a_run_at_work_are_left_alone() {
    let bench = begun(2);
    let new = ["--data_dir", "midi", "--output_dir", "run", "--max_steps", "1000000", "--checkpoint_every", "1"];
    refused(&bench, &new, &["holds a run", "--resume", "--overwrite"]);
    let mut command = bench.etude(&[&["train", "--config", "recipe.yaml", "--overwrite"], &new[..]].concat());
    let mut working = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    let began = Instant::now();
    // The first checkpoint of the new run replaces that of the old one.
    while steps(&bench.path("run")).is_none_or(|step| step == 2) && !bench.path("run/checkpoint-1").exists() {
        assert!(began.elapsed() < Duration::from_secs(300), "no checkpoint yet");
        std::thread::sleep(Duration::from_millis(20));
    }
    let process = format!("process {}", working.id());
    refused(&bench, &["--resume", "--output_dir", "run"], &["another run", &process]);
    refused(&bench, &[&new[..], &["--overwrite"]].concat(), &["another run", &process]);
    working.kill().expect("SIGKILL");
    working.wait().expect("reaped");
    let done = steps(&bench.path("run")).expect("a checkpoint");
    let more = (done + 1).to_string();
    let rest = train(&bench, &["--resume", "--output_dir", "run", "--max_steps", &more]);
    assert!(rest.status.success(), "a run that was killed holds nothing: {}", err(&rest));
    assert!(!bench.path("run/.train.lock").exists());
}

#[test]
fn a_run_begins_with_the_adapters_of_another_or_with_those_of_peft() {
    let bench = begun(2);
    let new = |from: &str, to: &str, more: &[&str]| {
        let args = ["--data_dir", "midi", "--output_dir", to, "--max_steps", "1", "--init_from", from];
        let done = train(&bench, &[&args[..], more].concat());
        assert!(done.status.success(), "{from} {more:?}: {}{}", out(&done), err(&done));
        err(&done)
    };
    assert!(new("run", "a", &[]).contains("adapters of rank 2 that the model has train on"));
    assert!(new("run", "b", &["--r", "4"]).contains("merged into it"));
    assert!(new("run", "f", &["--target_modules", "k_proj"]).contains("merged into it"), "other layers");
    new("run", "c", &["--method", "full"]);
    new("run/checkpoint-2", "d", &["--method", "qlora"]);
    // An adapter alone, beside the base it is for.
    let script = "let net = load_model(args[0]); net.merge().save(args[1]); net.save_adapter(args[2]);";
    let made = bench.etude(&["-e", script, "./run", "plain", "adapter"]).output().expect("it runs");
    assert!(made.status.success(), "{}", err(&made));
    fs::copy(bench.path("run/tokenizer.json"), bench.path("plain/tokenizer.json")).expect("copied");
    assert!(!bench.path("adapter/config.json").exists());
    assert!(new("adapter", "e", &["--base_model", "plain"]).contains("train on"));
}
