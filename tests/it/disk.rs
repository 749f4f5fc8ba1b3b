//! Full disks and read-only folders: the error, and the files that are left.

#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::practice::{Practice, err, etude};

struct Bench(Practice);

impl Bench {
    fn new() -> Self {
        Self(Practice::new(1, "batch_size: 2\nschedule_steps: 6\ncheckpoint_every: 1\n"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// `etude train` after some words of the shell.
    fn train(&self, before: &str, args: &str) -> Output {
        let script = format!("{before} exec {} --threads 1 train {args}", etude());
        self.0.command("sh").args(["-c", &script]).output().expect("it runs")
    }

    /// The same where mounts are our own; `None` where the system lets nobody have such a place.
    fn in_own_mounts(&self, before: &str, args: &str) -> Option<Output> {
        let own =
            |script: &str| self.0.command("unshare").args(["--map-root-user", "--mount", "sh", "-c", script]).output();
        let able = own("mount -t tmpfs -o size=64k none midi").is_ok_and(|output| output.status.success());
        able.then(|| {
            own(&format!("{before} {} --threads 1 train {args}; code=$?; ls -A run >&2; exit $code", etude()))
                .expect("it ran before")
        })
    }
}

fn losses(run: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("lines");
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line"));
    lines.filter_map(|line| line.get("loss")?.as_f64()).collect()
}

const BEGIN: &str = "--config recipe.yaml --data_dir midi";

/// Files may not grow: the shell's limit counts blocks of 512 bytes, and the signal that goes with it is ignored.
const FULL: &str = "trap '' XFSZ; ulimit -f 6;";

#[test]
fn a_checkpoint_that_finds_no_room_is_told_and_the_one_before_stays_whole() {
    let bench = Bench::new();
    let whole = bench.train("", &format!("{BEGIN} --output_dir whole --max_steps 6"));
    assert!(whole.status.success(), "{}", err(&whole));
    let first = bench.train("", &format!("{BEGIN} --output_dir run --max_steps 2"));
    assert!(first.status.success(), "{}", err(&first));

    let full = bench.train(FULL, "--resume --output_dir run --max_steps 6");
    assert_eq!(full.status.code(), Some(1), "{}", err(&full));
    let words = err(&full);
    assert!(words.contains("saving run/checkpoint-3: cannot write"), "{words}");
    assert!(words.contains("make room") && words.contains("checkpoint-2 is whole"), "{words}");
    let left: Vec<String> = std::fs::read_dir(bench.path("run"))
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!left.iter().any(|name| name.starts_with('.') || name == "checkpoint-3"), "{left:?}");

    let rest = bench.train("", "--resume --output_dir run --max_steps 6");
    assert!(rest.status.success(), "{}", err(&rest));
    assert_eq!(losses(&bench.path("run")), losses(&bench.path("whole")), "nothing was lost");
}

#[test]
fn a_small_disk_and_one_that_is_read_only_are_told_by_name() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("run")).expect("made");
    let small = "mount -t tmpfs -o size=96k none run || exit 99;";
    let Some(full) = bench.in_own_mounts(small, &format!("{BEGIN} --output_dir run --max_steps 6")) else {
        eprintln!("left out: mounts of one's own (unshare) are not allowed here");
        return;
    };
    let words = err(&full);
    assert_eq!(full.status.code(), Some(1), "{words}");
    assert!(words.contains("saving run/checkpoint-1: cannot write") && words.contains("No space left"), "{words}");
    assert!(words.contains("make room"), "{words}");
    assert!(!words.lines().any(|line| line.starts_with(".writing-")), "half a checkpoint is left: {words}");

    let still = "mount -t tmpfs -o ro none run || exit 99;";
    let read_only =
        bench.in_own_mounts(still, &format!("{BEGIN} --output_dir run --max_steps 6")).expect("it could before");
    let words = err(&read_only);
    assert_eq!(read_only.status.code(), Some(1), "{words}");
    assert!(words.contains("cannot write run/settings.yaml: Read-only"), "{words}");
    assert!(words.contains("name another folder"), "{words}");
}
