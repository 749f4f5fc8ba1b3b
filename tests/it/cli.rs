//! The command line: exit codes, pipes, arguments, colours.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

#[cfg(unix)]
use nix::sys::signal::Signal;

fn etude(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_etude"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    etude(args).output().expect("it runs")
}

/// (exit code, stdout, stderr)
fn results(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn piped(script: &str, args: &[&str]) -> Output {
    let mut child =
        etude(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[test]
fn the_transcripts_hold() {
    trycmd::TestCases::new().case("tests/cli/*.trycmd");
}

#[test]
fn a_piped_script_runs_whole() {
    let (code, out, err) = results(&piped("let x = 40;\nprint(x + 2);\n", &[]));
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "42\n", ""));
    let (code, out, err) = results(&piped("print(1);\nthrow \"no\";\nprint(2);", &[]));
    assert_eq!((code, out.as_str()), (Some(1), "1\n"));
    assert!(err.contains("stdin:2") && err.contains("no"), "{err}");
    assert_eq!(piped("exit(7); print(1);", &[]).status.code(), Some(7));
    assert_eq!(piped("print(args)", &["run", "-", "--a"]).stdout, b"[\"--a\"]\n");
}

#[test]
fn text_that_is_no_text_is_refused() {
    let mut child = etude(&[]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(b"let a = \"\xff\";").expect("it reads");
    let (code, _, err) = results(&child.wait_with_output().expect("it ends"));
    assert_eq!(code, Some(2));
    assert!(err.contains("byte 9 is not UTF-8"), "{err}");
}

#[test]
fn arguments_reach_the_script_untouched() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("args.rhai");
    std::fs::write(&script, "#!/usr/bin/env -S etude run\nfor a in args { print(a) }").expect("written");
    let script = script.to_str().expect("a plain path");
    let words = ["--steps", "5", "-e", "--", "--help", "", "a b", "é"];
    for call in [vec!["run", script], vec![script]] {
        let (code, out, err) = results(&run(&[call, words.to_vec()].concat()));
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert_eq!(out.lines().collect::<Vec<_>>(), words);
    }
}

#[test]
fn colours_never_reach_a_pipe() {
    for variable in [None, Some("NO_COLOR")] {
        let mut command = etude(&["-e", "nonesuch(1)"]);
        command.env("TERM", "xterm-256color").envs(variable.map(|v| (v, "1")));
        let (code, out, err) = results(&command.output().expect("it runs"));
        assert_eq!(code, Some(1));
        assert!(!out.contains('\x1b') && !err.contains('\x1b'), "{err}");
        assert!(err.contains('^'), "a caret marks the place: {err}");
    }
}

#[test]
fn a_program_called_wrongly_ends_with_2_and_shows_none_of_its_lines() {
    let calls: [(&[&str], &str); 6] = [
        (&["generate", "--tempratur", "1"], "temperature"),
        (&["generate", "solo"], "solo"),
        (&["bench", "--no_such", "1"], "no_such"),
        (&["bench", "--config", "huge"], "huge"),
        (&["train"], "--output_dir"),
        (&["evaluate"], "--data_dir"),
    ];
    for (args, part) in calls {
        let (code, _, err) = results(&run(args));
        assert_eq!(code, Some(2), "{args:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains(part), "{args:?}: {err}");
        assert!(!err.contains('│') && !err.contains(".rhai"), "{args:?}: {err}");
    }
    let (code, _, err) = results(&run(&["generate", "--checkpoint", "no/such/folder"]));
    assert_eq!(code, Some(1), "{err}");
    assert!(err.starts_with("error: ") && err.contains("no/such/folder") && !err.contains('│'), "{err}");
}

/// Sends a signal to a script that has begun.
#[cfg(unix)]
fn signalled(mut command: Command, signal: Signal) -> Output {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut line = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut line).expect("it begins");
    assert!(crate::practice::send_signal(child.id(), signal));
    child.wait_with_output().expect("it ends")
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_script_with_130() {
    // Under nohup, SIGHUP is ignored in every process below.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:\t"))
        .is_some_and(|m| m.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']));
    let signals = if ignored {
        vec![Signal::SIGINT, Signal::SIGTERM]
    } else {
        vec![Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
    };
    for signal in signals {
        let begun = Instant::now();
        let (code, _, err) = results(&signalled(etude(&["-e", "print(\"begun\"); loop {}"]), signal));
        assert_eq!(code, Some(130), "{signal}: {err}");
        assert!(err.contains("interrupted"), "{signal}: {err}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{signal}: {:?}", begun.elapsed());
    }
}

#[cfg(unix)]
#[test]
fn a_script_under_nohup_outlives_its_terminal() {
    let mut shell = Command::new("sh");
    let script = "trap '' HUP; exec \"$0\" -e 'print(\"begun\"); sleep(0.5); print(\"done\")'";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_etude")]);
    let (code, out, err) = results(&signalled(shell, Signal::SIGHUP));
    assert_eq!((code, out.as_str()), (Some(0), "done\n"), "{err}");
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_ends_the_script_quietly() {
    let mut child = etude(&["-e", "for i in 0..1000000 { print(i) }"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let (code, _, err) = results(&child.wait_with_output().expect("it ends"));
    assert_eq!((code, err.as_str()), (Some(141), ""));
}

#[test]
fn what_is_generated_has_the_tempo_and_the_bars_that_were_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.mid");
    let file = path.to_str().expect("UTF-8");
    let (code, _, err) = results(&run(&[
        "generate", "--tempo", "240", "--chords", "C F", "--bars", "3", "--seed", "1", "--output", file,
    ]));
    assert_eq!(code, Some(0), "{err}");
    let score = etude::midi::Score::read(&path).expect("a MIDI file");
    assert_eq!((score.tempo(), score.bars().len()), (240.0, 3));
    let bars: Vec<u32> = score.markers.iter().map(|marker| marker.tick % 1920).collect();
    assert!(!bars.is_empty() && bars.iter().all(|&tick| tick == 0), "{:?}", score.markers);
}

#[test]
fn the_ending_of_output_decides_what_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_string();
    let generate = |output: &str| run(&["generate", "--max_length", "24", "--seed", "1", "--output", output]);
    for (name, written, begins) in
        [("x.wav", "x.wav", "RIFF"), ("b.midi", "b.midi", "MThd"), ("dir/", "dir/solo.mid", "MThd")]
    {
        let (code, _, err) = results(&generate(&output(name)));
        assert_eq!(code, Some(0), "{name}: {err}");
        let bytes = std::fs::read(folder.path().join(written)).expect(written);
        assert!(bytes.starts_with(begins.as_bytes()), "{name}");
    }
    let (code, _, err) = results(&generate(&output("x.flac")));
    assert!(code != Some(0) && err.contains("ending") && !folder.path().join("x.flac").exists(), "{err}");
}

#[test]
fn a_wrong_call_names_what_was_meant() {
    let (code, _, err) = results(&run(&["quickstrat"]));
    assert_eq!(code, Some(2));
    assert!(err.contains("quickstart"), "{err}");
    let (code, _, err) = results(&run(&["run", "no/such.rhai"]));
    assert_eq!(code, Some(2));
    assert!(err.contains("no/such.rhai"), "{err}");
    assert_eq!(run(&["--nonesuch"]).status.code(), Some(2));
    assert_eq!(run(&["-e", "1", "run", "x"]).status.code(), Some(2));
}
