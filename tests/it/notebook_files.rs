//! Notebooks as files: run from the command line, installed kernelspecs, and the notebooks of `examples/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn etude(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_etude")).args(args).current_dir(folder).output().expect("it starts")
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes a notebook of these cells.
fn notebook(path: &Path, cells: &[&str]) {
    let cells: Vec<Value> = cells
        .iter()
        .map(|source| json!({ "cell_type": "code", "metadata": {}, "source": source, "outputs": [] }))
        .collect();
    let file = json!({ "nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells });
    std::fs::write(path, file.to_string()).expect("it is written");
}

#[test]
fn a_notebook_runs_as_a_script() {
    let folder = tempfile::tempdir().expect("a folder");
    notebook(
        &folder.path().join("a.ipynb"),
        &["let x = args[0];", ":pwd\nprint(x + \"!\");\nx", "exit(3)", "print(1)"],
    );
    for call in [&["run", "a.ipynb", "hey"][..], &["a.ipynb", "hey"]] {
        let ran = etude(call, folder.path());
        assert_eq!(ran.status.code(), Some(3), "{}", text(&ran.stderr));
        let out = text(&ran.stdout);
        assert!(out.ends_with("hey!\n") && out.lines().count() == 2, "{out}");
    }
    notebook(&folder.path().join("b.ipynb"), &["let x = 1;", "x\n + nope"]);
    let ran = etude(&["run", "b.ipynb"], folder.path());
    assert_eq!(ran.status.code(), Some(1));
    assert!(text(&ran.stderr).contains("b.ipynb, cell 2:2:4"), "{}", text(&ran.stderr));
    std::fs::write(folder.path().join("c.ipynb"), "no JSON").expect("it is written");
    let ran = etude(&["run", "c.ipynb"], folder.path());
    assert_eq!(ran.status.code(), Some(1));
    assert!(text(&ran.stderr).contains("c.ipynb: no notebook"), "{}", text(&ran.stderr));
}

/// What the process holds of memory, in MiB, printed (proc(5): the second number is pages of 4 KiB).
#[cfg(target_os = "linux")]
const HELD: &str = "print(read(\"/proc/self/statm\").split(\" \")[1].parse_int() * 4 / 1024);";

#[cfg(target_os = "linux")]
#[test]
fn a_reset_gives_memory_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let shape = "vocab_size: 451, hidden_size: 512, num_hidden_layers: 8, num_attention_heads: 8";
    let fill = format!("let net = model(#{{ {shape} }});\nlet q = net.quantize(\"nf4\");\n{HELD}");
    notebook(&folder.path().join("a.ipynb"), &[HELD, &fill, ":reset", HELD]);
    let ran = etude(&["run", "a.ipynb"], folder.path());
    let out = text(&ran.stdout);
    let held: Vec<i64> = out.lines().filter_map(|line| line.parse().ok()).collect();
    let [before, full, after] = held[..] else { panic!("{out}{}", text(&ran.stderr)) };
    assert!(full > before + 90, "25 million weights are 100 MB: {held:?}");
    assert!(after < before + 30, "{held:?}");
}

#[test]
fn a_notebook_finds_what_lies_beside_it_and_beside_the_caller() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("lessons")).expect("a folder");
    std::fs::write(folder.path().join("lessons/beside.txt"), "of the notebook").expect("written");
    std::fs::write(folder.path().join("mine.txt"), "of the caller").expect("written");
    notebook(&folder.path().join("lessons/a.ipynb"), &["print(read(\"beside.txt\"));", "print(read(\"mine.txt\"));"]);
    let ran = etude(&["run", "lessons/a.ipynb"], folder.path());
    assert_eq!(text(&ran.stdout), "of the notebook\nof the caller\n", "{}", text(&ran.stderr));
}

#[test]
fn a_script_made_of_a_notebook_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.rhai"), "let x = 20\n\n:pwd\n\n\nprint(x * 2)\n\nx + nope\n")
        .expect("written");
    let ran = etude(&["run", "a.rhai"], folder.path());
    assert!(text(&ran.stdout).ends_with("40\n"), "{}", text(&ran.stdout));
    assert!(text(&ran.stderr).contains("a.rhai:8:5"), "the line in the file: {}", text(&ran.stderr));
}

#[test]
fn kernels_are_listed_and_uninstalled() {
    let folder = tempfile::tempdir().expect("a folder");
    let python = folder.path().join("lib/python3.12/site-packages");
    std::fs::create_dir_all(&python).expect("a folder");
    let data = folder.path().join("share/jupyter");
    let call = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etude"));
        command.args(args).env("JUPYTER_DATA_DIR", &data).env_remove("VIRTUAL_ENV").output().expect("it starts")
    };
    let prefix = folder.path().to_string_lossy().into_owned();
    let ran = call(&["kernel", "install", "--prefix", &prefix, "--name", "first"]);
    assert!(text(&ran.stdout).contains("papermill"), "{}", text(&ran.stdout));
    assert!(python.join("etude_jupyter.py").is_file() && data.join("labextensions/etude-rhai/package.json").is_file());
    let spec: Value =
        serde_json::from_slice(&std::fs::read(data.join("kernels/first/kernel.json")).expect("there")).expect("JSON");
    assert_eq!(spec["env"]["ETUDE_PYGMENTS"], "rhai");
    call(&["kernel", "install", "--name", "second"]);
    assert!(data.join("kernels/second/kernel.json").is_file(), "JUPYTER_DATA_DIR is honoured");
    let listed = text(&call(&["kernel", "list"]).stdout);
    assert!(
        listed.contains("first") && listed.contains("second") && listed.contains(env!("CARGO_BIN_EXE_etude")),
        "{listed}"
    );
    assert!(call(&["kernel", "uninstall", "--name", "first"]).status.success());
    assert!(!data.join("kernels/first").exists() && !python.join("etude_jupyter.py").exists());
    let ran = call(&["kernel", "uninstall"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(text(&ran.stderr).contains("second"), "it names those there are: {}", text(&ran.stderr));
}

#[test]
fn a_kernelspec_starts_this_binary() {
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = folder.path().to_string_lossy().into_owned();
    let ran = etude(
        &["kernel", "install", "--prefix", &prefix, "--name", "etude-test", "--display-name", "Étude (test)"],
        folder.path(),
    );
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let spec = folder.path().join("share/jupyter/kernels/etude-test");
    let kernel: Value =
        serde_json::from_slice(&std::fs::read(spec.join("kernel.json")).expect("it is there")).expect("JSON");
    assert_eq!((&kernel["display_name"], &kernel["language"]), (&json!("Étude (test)"), &json!("rhai")));
    assert_eq!(kernel["argv"][0], env!("CARGO_BIN_EXE_etude"));
    assert_eq!(kernel["interrupt_mode"], "message");
    for (logo, size) in [("logo-32x32.png", 32_u32), ("logo-64x64.png", 64)] {
        let png = std::fs::read(spec.join(logo)).expect("it is there");
        assert_eq!(png[16..20], size.to_be_bytes(), "the width of {logo}");
    }
    assert!(spec.join("logo-svg.svg").is_file());
    let ran = etude(&["kernel", "install", "--prefix", &prefix, "--name", "a b"], folder.path());
    assert_eq!(ran.status.code(), Some(1));
    let ran = etude(&["kernel", "run", "--connection-file", "nope.json"], folder.path());
    assert!(text(&ran.stderr).contains("nope.json"), "{}", text(&ran.stderr));
}

#[test]
fn a_kernel_whose_port_is_taken_says_which_and_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let file = json!({ "transport": "tcp", "ip": "127.0.0.1", "key": "k", "signature_scheme": "hmac-sha256",
        "hb_port": 0, "iopub_port": port, "stdin_port": 0, "shell_port": 0, "control_port": 0 });
    std::fs::write(folder.path().join("c.json"), file.to_string()).expect("it is written");
    let ran = etude(&["kernel", "run", "--connection-file", "c.json"], folder.path());
    assert_eq!(ran.status.code(), Some(1));
    assert!(text(&ran.stderr).contains("cannot open the iopub socket"), "{}", text(&ran.stderr));
}

/// A notebook of `examples/`, read, and what it must have: many cells, each with an id of its own.
fn teaching(name: &str) -> Value {
    let path = examples().join(name);
    let file: Value = serde_json::from_slice(&std::fs::read(&path).expect("it is there")).expect("JSON");
    let cells = file["cells"].as_array().expect("cells");
    let code = cells.iter().filter(|cell| cell["cell_type"] == "code").count();
    assert!(code >= 7, "{code} cells of code");
    let mut ids: Vec<&str> = cells.iter().map(|cell| cell["id"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), cells.len(), "ids are unique");
    file
}

/// Runs a notebook beside the pieces it reads, where what it writes does no harm: what it printed.
fn run(file: &Value, folder: &Path) -> String {
    std::os::unix::fs::symlink(examples().join("midi"), folder.join("midi")).expect("a link");
    std::fs::write(folder.join("copy.ipynb"), file.to_string()).expect("it is written");
    let ran = etude(&["run", "copy.ipynb"], folder);
    assert!(ran.status.success(), "{}\n{}", text(&ran.stdout), text(&ran.stderr));
    text(&ran.stdout)
}

#[test]
fn the_first_notebook_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    run(&teaching("01_first_notes.ipynb"), folder.path());
    assert!(folder.path().join("first_solo.mid").is_file(), "it saves its solo");
}

#[test]
fn the_second_notebook_trains() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = teaching("02_fine_tune.ipynb");
    let cells = file["cells"].as_array_mut().expect("cells");
    let steps = cells.iter_mut().find(|cell| cell["metadata"]["tags"] == json!(["parameters"])).expect("parameters");
    assert_eq!(steps["source"], json!(["let steps = 40;"]));
    steps["source"] = json!(["let steps = 4;"]);
    let stdout = run(&file, folder.path());
    let losses = stdout.lines().find_map(|line| line.strip_prefix("bits a note ")).expect("a line of bits");
    let (before, after) = losses.split_once(" -> ").expect("two losses");
    let loss = |text: &str| text.parse::<f64>().expect("a number");
    assert!(loss(after) < loss(before), "{losses}");
}
