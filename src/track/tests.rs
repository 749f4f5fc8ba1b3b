//! Tests of whole runs, with every sink.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::media::samples::{PNG, WAV};
use super::{Media, Run, RunOptions, Runs, Status, WallClock};

/// A clock that advances one second per call, from 1 January 2025 on.
fn clock() -> WallClock {
    let seconds = AtomicU64::new(1_735_689_600);
    Arc::new(move || seconds.fetch_add(1, Ordering::SeqCst) as f64)
}

fn options(dir: &Path, sinks: &[&str]) -> RunOptions {
    let config = json!({ "lr": 2e-4, "lora": { "r": 16 } }).as_object().cloned().expect("it is an object");
    let sinks = sinks.iter().map(|name| (*name).to_string()).collect();
    RunOptions { dir: dir.to_path_buf(), sinks, config, ..RunOptions::default() }
}

fn start(name: &str, options: &RunOptions) -> Run {
    Run::start(name, options, clock(), 77).expect("the folder can be written")
}

fn lines(run: &Run) -> Vec<Value> {
    let text = std::fs::read_to_string(run.folder().join("metrics.jsonl")).expect("every run has lines");
    text.lines().map(|line| serde_json::from_str(line).expect("each is JSON")).collect()
}

#[test]
fn lines_hold_what_was_logged_at_once() {
    let dir = TempDir::new().expect("a folder");
    let mut run = start("solo", &options(dir.path(), &[]));
    run.log(1, &[("loss", 2.5), ("grad_norm", f64::NAN), ("step", 9.0)]);
    run.log_media(1, "a sample", &Media::Image(PNG.to_vec())).expect("it is a PNG");
    let expected = [
        json!({ "step": 1, "time": 1_735_689_601.0, "loss": 2.5, "grad_norm": null }),
        json!({ "step": 1, "time": 1_735_689_602.0, "media": { "a sample": "media/a_sample_000001.png" } }),
    ];
    assert_eq!(lines(&run), expected);
    assert_eq!(std::fs::read(run.folder().join("media/a_sample_000001.png")).expect("it was written"), PNG);
    run.finish(Status::Stopped);
    run.log(2, &[("loss", 1.0)]);
    assert_eq!(lines(&run).len(), 2);
    let runs = Runs::read(dir.path()).expect("there is one");
    assert_eq!(runs.all[0].status, Some(Status::Stopped));
    assert!(run.take_warnings().is_empty());
}

#[test]
fn a_name_that_is_taken_gets_a_number_and_a_run_that_resumes_goes_on() {
    let dir = TempDir::new().expect("a folder");
    let plain = options(dir.path(), &["tensorboard", "wandb"]);
    start("solo", &plain).log(1, &[("loss", 3.0)]);
    assert_eq!(start("solo", &plain).name(), "solo-2");
    // The first was killed in the middle of a line.
    let path = dir.path().join("solo/metrics.jsonl");
    let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("it is there");
    file.write_all(b"{\"step\": 2, \"lo").expect("written");
    let mut again = start("solo", &RunOptions { resume: true, ..plain });
    assert_eq!(again.take_warnings(), [""; 0]);
    assert_eq!(again.name(), "solo");
    again.log(1, &[("loss", 2.0)]);
    again.log(3, &[("loss", 1.0)]);
    again.finish(Status::Finished);
    let runs = Runs::read(dir.path()).expect("there are two");
    let solo = runs.get("solo").expect("it is one");
    assert_eq!(solo.values["loss"].iter().map(|(&s, &v)| (s, v)).collect::<Vec<_>>(), [(1, 2.0), (3, 1.0)]);
    let offline = std::fs::read_dir(solo.folder.join("wandb")).expect("a folder").filter_map(Result::ok);
    assert_eq!(offline.filter(|e| e.file_name().to_string_lossy().starts_with("offline-run-")).count(), 2);
    let events = std::fs::read_dir(&solo.folder).expect("a folder").filter_map(Result::ok);
    assert_eq!(events.filter(|e| e.file_name().to_string_lossy().starts_with("events.out.tfevents.")).count(), 2);
}

/// The bytes are those of `tests/peers/tracking.py`, which TensorBoard's and W&B's own readers take.
#[test]
fn trackers_have_their_files() {
    let dir = TempDir::new().expect("a folder");
    let mut run = start("solo", &options(dir.path(), &["tensorboard", "wandb", "jsonl"]));
    assert_eq!(run.sinks(), ["jsonl", "tensorboard", "wandb"]);
    run.log(1, &[("loss", 2.5)]);
    let samples = [Media::Image(PNG.to_vec()), Media::Audio(WAV.to_vec()), Media::Text("swing".into())];
    for (name, media) in ["picture", "sound", "words"].iter().zip(samples) {
        run.log_media(1, name, &media).expect("it is one");
    }
    run.log_media(2, "solo", &Media::Midi(b"MThd".to_vec())).expect("it begins as one");
    run.finish(Status::Finished);
    assert!(run.take_warnings().is_empty());
    let wandb = run.folder().join(format!("wandb/offline-run-20250101_000000-{}", run.id()));
    let summary = std::fs::read_to_string(wandb.join("files/wandb-summary.json")).expect("it ends with a summary");
    let summary: Value = serde_json::from_str(&summary).expect("it is JSON");
    assert_eq!((&summary["loss"], &summary["_step"]), (&json!(2.5), &json!(2)));
    let path = summary["solo"]["path"].as_str().expect("the sample has a path");
    assert_eq!(std::fs::read(wandb.join("files").join(path)).expect("it is there"), b"MThd");
    let log = std::fs::read(wandb.join(format!("run-{}.wandb", run.id()))).expect("it is there");
    let holds = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(holds(&log, b"{\"r\":16}") && holds(&log, b"\"audio-file\"") && holds(&log, b"\"swing\""));
    let mut names = std::fs::read_dir(run.folder()).expect("a folder").filter_map(Result::ok).map(|e| e.path());
    let events = names.find(|path| path.to_string_lossy().contains("tfevents")).expect("it is there");
    let events = std::fs::read(events).expect("it can be read");
    assert!(holds(&events, b"brain.Event:2") && holds(&events, &PNG) && holds(&events, &WAV));
}

#[cfg(unix)]
#[test]
fn a_tracker_that_dies_stops_nothing() {
    let dir = TempDir::new().expect("a folder");
    let mut run = start("solo", &options(dir.path(), &["wandb"]));
    run.log(1, &[("loss", 2.0)]);
    let wandb = run.folder().join("wandb");
    std::fs::remove_dir_all(&wandb).expect("it was there");
    std::fs::write(&wandb, b"in the way").expect("written");
    run.log_media(1, "solo", &Media::Midi(b"MThd".to_vec())).expect("it begins as one");
    run.log(2, &[("loss", 1.0)]);
    let warnings = run.take_warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("wandb is left out from here on"), "{warnings:?}");
    assert_eq!((run.sinks(), lines(&run).len()), (vec!["jsonl"], 3));
    // One that cannot even begin.
    let second = Run::start("solo", &RunOptions { resume: true, ..options(dir.path(), &["wandb"]) }, clock(), 1);
    assert!(second.expect("the lines can be written").take_warnings()[0].contains("wandb is left out"));
}

/// An MLflow server for tests; it returns its address and the requests that it received.
fn mlflow() -> (String, std::sync::mpsc::Receiver<(String, Value)>) {
    dying_mlflow(usize::MAX)
}

/// An MLflow server that answers a number of requests.
fn dying_mlflow(calls: usize) -> (String, std::sync::mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("it has one"));
    let (sender, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(calls) {
            let mut stream = stream.expect("somebody asks");
            let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
            let (head, body) = loop {
                let n = stream.read(&mut bytes).expect("it asks something");
                text.extend(&bytes[..n]);
                let request = String::from_utf8_lossy(&text).into_owned();
                let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
                let length = head.to_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) || n == 0 {
                    break (head.to_string(), body.to_string());
                }
            };
            let (status, answer) = if head.contains("get-by-name") {
                ("404 Not Found", json!({ "message": "no such experiment" }))
            } else {
                let info = json!({ "run_id": "r1", "artifact_uri": "mlflow-artifacts:/7/r1/artifacts" });
                // 64-bit integers are texts in this JSON.
                let data = json!({ "metrics": [{ "key": "loss", "value": 1.0, "step": "3" }] });
                ("200 OK", json!({ "experiment_id": "7", "run": { "info": info, "data": data } }))
            };
            let answer = answer.to_string();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}",
                answer.len()
            );
            let _ = sender.send((head, serde_json::from_str(&body).unwrap_or(Value::Null)));
        }
    });
    (address, asked)
}

#[test]
fn an_mlflow_server_hears_everything() {
    let dir = TempDir::new().expect("a folder");
    let (mlflow_uri, asked) = mlflow();
    let mut run = start("solo", &RunOptions { mlflow_uri, ..options(dir.path(), &["mlflow"]) });
    for step in 0..1500 {
        run.log(step, &[("loss", 1.0 / step as f64)]);
    }
    run.log_media(3, "solo", &Media::Midi(b"MThd".to_vec())).expect("it begins as one");
    run.finish(Status::Finished);
    assert!(run.take_warnings().is_empty());
    let asked: Vec<(String, Value)> = asked.try_iter().collect();
    let of =
        |call: &str| asked.iter().filter(|(head, _)| head.contains(call)).map(|(_, body)| body).collect::<Vec<_>>();
    assert_eq!(of("experiments/create"), [&json!({ "name": "etude" })]);
    assert_eq!(
        (&of("runs/create")[0]["experiment_id"], &of("runs/create")[0]["run_name"]),
        (&json!("7"), &json!("solo"))
    );
    let batches = of("log-batch");
    assert_eq!(batches[0]["params"][1], json!({ "key": "lora.r", "value": "16" }));
    let metrics: Vec<&Value> = batches.iter().filter_map(|b| b["metrics"].as_array()).flatten().collect();
    assert_eq!(metrics.len(), 1500);
    assert_eq!(
        (&metrics[0]["value"], &metrics[2]["value"], &metrics[2]["step"]),
        (&json!("Infinity"), &json!(0.5), &json!(2))
    );
    assert!(
        asked.iter().any(|(head, _)| head.starts_with("PUT") && head.contains("7/r1/artifacts/media/solo_000003.mid"))
    );
    assert_eq!(of("runs/update")[0]["status"], "FINISHED");
}

#[test]
fn an_mlflow_server_is_told_who_asks_and_goes_on_with_its_run() {
    let dir = TempDir::new().expect("a folder");
    let (address, asked) = mlflow();
    let mlflow_uri = address.replace("http://", "http://Aladdin:open%20sesame@");
    let plain = RunOptions { mlflow_uri, ..options(dir.path(), &["mlflow"]) };
    let mut first = start("solo", &plain);
    (1..=3).for_each(|step| first.log(step, &[("loss", 1.0)]));
    first.finish(Status::Stopped);
    let heads: Vec<String> = asked.try_iter().map(|(head, _)| head.to_lowercase()).collect();
    let signed = |head: &String| head.contains("authorization: basic qwxhzgrpbjpvcgvuihnlc2ftzq==");
    assert!(heads.len() > 3 && heads.iter().all(signed), "{heads:?}");
    let mut again = start("solo", &RunOptions { resume: true, from_step: Some(2), ..plain });
    (3..=4).for_each(|step| again.log(step, &[("loss", 1.0)]));
    again.finish(Status::Finished);
    assert_eq!((again.take_warnings(), first.take_warnings()), (Vec::new(), Vec::new()));
    let asked: Vec<(String, Value)> = asked.try_iter().collect();
    assert!(asked[0].0.contains("runs/get?run_id=r1") && !asked.iter().any(|(head, _)| head.contains("runs/create")));
    let sent: Vec<&Value> = asked.iter().filter_map(|(_, body)| body["metrics"].as_array()).flatten().collect();
    assert_eq!(sent.iter().map(|metric| metric["step"].as_u64()).collect::<Vec<_>>(), [Some(4)], "3 is there already");
}

#[test]
fn an_mlflow_server_that_is_not_there_stops_nothing() {
    let dir = TempDir::new().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mlflow_uri = format!("http://{}", listener.local_addr().expect("it has one"));
    drop(listener);
    let mut run = start("solo", &RunOptions { mlflow_uri: mlflow_uri.clone(), ..options(dir.path(), &["mlflow"]) });
    run.log(1, &[("loss", 2.0)]);
    run.finish(Status::Finished);
    let warnings = run.take_warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains(&format!("the MLflow server at {mlflow_uri} does not answer")), "{warnings:?}");
    assert_eq!(lines(&run).len(), 1);
}

/// A server that fails after a number of requests.
#[test]
fn an_mlflow_server_that_goes_in_the_middle_stops_nothing() {
    let dir = TempDir::new().expect("a folder");
    let (mlflow_uri, asked) = dying_mlflow(5);
    let mut run = start("solo", &RunOptions { mlflow_uri, ..options(dir.path(), &["mlflow"]) });
    for step in 0..50 {
        run.log(step, &[("loss", 1.0)]);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    run.finish(Status::Finished);
    assert!(asked.try_iter().count() >= 4, "it began");
    let warnings = run.take_warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("does not answer"), "{warnings:?}");
    assert_eq!(lines(&run).len(), 50);
    assert_eq!(Runs::read(dir.path()).expect("there is one").all[0].status, Some(Status::Finished));
}

#[cfg(unix)]
#[test]
fn samples_and_records_that_cannot_be_written_stop_nothing() {
    let dir = TempDir::new().expect("a folder");
    let mut run = start("solo", &options(dir.path(), &["tensorboard", "wandb"]));
    std::fs::write(run.folder().join("media"), b"in the way").expect("written");
    std::fs::remove_file(run.folder().join("run.json")).expect("it was there");
    std::fs::create_dir_all(run.folder().join("run.json/in/the/way")).expect("made");
    run.log_media(1, "solo", &Media::Midi(b"MThd".to_vec())).expect("it begins as one");
    run.log(1, &[("loss", 1.0)]);
    run.finish(Status::Finished);
    let warnings = run.take_warnings();
    assert!(warnings[0].contains("the sample 'solo' is left out") && warnings[1].contains("run.json"), "{warnings:?}");
    assert_eq!((warnings.len(), lines(&run).len()), (2, 1));
}

#[test]
fn runs_are_compared() {
    let dir = TempDir::new().expect("a folder");
    let clock = clock();
    for (name, lr, steps) in [("slow", 1e-4, 3), ("fast", 1e-3, 5)] {
        let mut options = options(dir.path(), &[]);
        options.config.insert("lr".into(), json!(lr));
        let mut run = Run::start(name, &options, clock.clone(), 1).expect("the folder can be written");
        for step in (1..=steps).step_by(2) {
            run.log(step, &[("loss", lr * step as f64)]);
        }
        run.log(steps, &[(format!("only_{name}"), 1.0)]);
    }
    std::fs::create_dir(dir.path().join("torn")).expect("made");
    std::fs::write(dir.path().join("torn/run.json"), b"{").expect("written");
    let runs = Runs::read(dir.path()).expect("there are some");
    assert_eq!((runs.broken.len(), runs.names()), (1, vec!["loss", "only_fast", "only_slow"]));
    let (headings, rows) = runs.table();
    assert_eq!(headings, ["run", "began", "status", "step", "loss", "only_fast", "only_slow"]);
    assert_eq!(rows[0], ["slow", "2025-01-01 00:00", "open", "3", "0.0003000", "", "1"]);
    let (headings, rows) = runs.differences();
    assert_eq!(
        (headings, rows),
        (vec!["key".into(), "slow".into(), "fast".into()], vec![vec!["lr".into(), "0.0001".into(), "0.001".into()]])
    );
    let (curves, stride) = runs.curves("loss");
    assert_eq!((stride, curves[1].1.len()), (1, 6));
    assert!(curves[0].1[0].is_nan() && (curves[0].1[2] - 2e-4).abs() < 1e-12 && curves[0].1[4].is_nan());
    assert!(runs.get("slwo").is_err_and(|e| e.hint().is_some_and(|hint| hint.contains("slow"))));
}

#[test]
fn mistakes_are_named() {
    let dir = TempDir::new().expect("a folder");
    let refused =
        |name: &str, options: &RunOptions| Run::start(name, options, clock(), 1).expect_err("it is wrong").to_string();
    assert!(refused("a/b", &options(dir.path(), &[])).contains("'a/b'"));
    assert!(refused("a", &options(dir.path(), &["tensorbord"])).contains("tensorboard"));
    std::fs::write(dir.path().join("file"), b"").expect("written");
    assert!(refused("a", &options(&dir.path().join("file"), &[])).contains("file"));
    assert!(Runs::read(&dir.path().join("none")).is_err());
    std::fs::create_dir(dir.path().join("empty")).expect("made");
    assert!(Runs::read(&dir.path().join("empty")).is_err_and(|e| e.message().contains("there are no runs")));
    let other = RunOptions { mlflow_uri: "sqlite:///mlflow.db".into(), ..options(dir.path(), &["mlflow"]) };
    assert!(start("a", &other).take_warnings()[0].contains("is a database"));
}
