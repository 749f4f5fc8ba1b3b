//! The blocks of the README, run as they stand, one after the other in one folder.
//!
//! What a block starts that is not `etude` is a small script of this test: `cargo run` starts the program that is tested,
//! `torchrun` and `mpirun` start ranks with the variables that those set, `jupyter` does nothing. The folder has a few
//! pieces, and recipes of two steps and small sweeps, so that minutes become seconds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::practice::{Practice, err, etude, pieces};

/// What `torchrun --no-python --nproc_per_node N COMMAND` does on one machine.
const TORCHRUN: &str = r#"shift; [ "$1" = --nproc_per_node ] || exit 2; n=$2; shift 2
export WORLD_SIZE=$n LOCAL_WORLD_SIZE=$n MASTER_ADDR=127.0.0.1 MASTER_PORT=29517
for r in $(seq 1 $((n - 1))); do RANK=$r LOCAL_RANK=$r "$@" & done
RANK=0 LOCAL_RANK=0 "$@"; wait"#;
/// What `mpirun -n N COMMAND` of Open MPI does on one machine.
const MPIRUN: &str = r#"[ "$1" = -n ] || exit 2; n=$2; shift 2
export OMPI_COMM_WORLD_SIZE=$n OMPI_COMM_WORLD_LOCAL_SIZE=$n PMIX_NAMESPACE=prterun-readme-1@1
for r in $(seq 1 $((n - 1))); do OMPI_COMM_WORLD_RANK=$r OMPI_COMM_WORLD_LOCAL_RANK=$r "$@" & done
OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_LOCAL_RANK=0 "$@"; wait"#;
const CARGO: &str =
    r#"case "$1" in run) while [ "$1" != -- ]; do shift || exit 2; done; shift; exec etude "$@";; esac"#;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The blocks of a language, each with the line it begins at.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim_start() == format!("```{language}") {
            let block: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            blocks.push((number + 2, block.join("\n")));
        }
    }
    blocks
}

fn script(path: &Path, body: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, format!("#!/usr/bin/env bash\nset -e\n{body}\n")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
}

/// The recipes, with few steps.
fn recipes(to: &Path) {
    fs::create_dir(to).expect("made");
    for name in ["qlora_default", "qlora_fast", "qlora_production", "sweep_config"] {
        let text = fs::read_to_string(root().join(format!("configs/{name}.yaml"))).expect("a recipe");
        let short = text.lines().map(|line| match line.split(':').next() {
            Some("max_steps") => "max_steps: 2",
            Some("warmup_steps") => "warmup_steps: 0",
            Some("gradient_accumulation_steps") => "gradient_accumulation_steps: 1",
            Some("batch_size") => "batch_size: 4",
            Some("run_cap") => "run_cap: 2",
            _ => line,
        });
        fs::write(to.join(format!("{name}.yaml")), short.collect::<Vec<_>>().join("\n")).expect("written");
    }
}

#[test]
#[ignore = "minutes; .ci/run runs it: cargo test --test it -- --ignored its_blocks_run_as_they_stand"]
fn its_blocks_run_as_they_stand() {
    let practice = Practice::new(1, "");
    let text = fs::read_to_string(root().join("README.md")).expect("the README");
    let bin = practice.path("bin");
    fs::create_dir(&bin).expect("made");
    for (name, body) in [("cargo", CARGO), ("torchrun", TORCHRUN), ("mpirun", MPIRUN), ("jupyter", "")] {
        script(&bin.join(name), body);
    }
    script(&bin.join("etude"), &format!("exec {} --threads 1 \"$@\"", etude()));
    recipes(&practice.path("configs"));
    for folder in ["data", "examples", "experiments"] {
        fs::create_dir(practice.path(folder)).expect("made");
    }
    pieces(&practice.path("data/mine"));
    pieces(&practice.path("examples/midi"));
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let run = |program: &str, args: &[&str], line: usize| {
        let mut command = practice.command(program);
        command.args(args).env("PATH", &path).env("JUPYTER_DATA_DIR", practice.path("jupyter"));
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "README.md:{line}: {}", err(&output));
    };
    let shell = blocks(&text, "sh");
    assert!(shell.len() >= 6, "only {} blocks are found", shell.len());
    for (line, block) in &shell {
        run("bash", &["-e", "-c", block], *line);
    }
    let scripts = blocks(&text, "rhai");
    assert!(!scripts.is_empty(), "no script is found");
    for (line, block) in &scripts {
        fs::write(practice.path("block.rhai"), block).expect("written");
        run("etude", &["run", "block.rhai"], *line);
    }
    for made in ["solo.mid", "solo.mp3", "experiments/v1/best_model", "experiments/v4/best_model", "sweeps/a/trial-1"] {
        assert!(practice.path(made).exists(), "{made} is there");
    }
}
