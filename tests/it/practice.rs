//! A folder to train in, for tests of the command line: pieces, a tiny shape, a recipe over it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

#[cfg(unix)]
use nix::sys::signal::{Signal, kill};

/// The folder; it goes when this does.
pub(crate) struct Practice(tempfile::TempDir);

impl Practice {
    /// Five pieces in `midi`, a shape of `layers` layers, and `recipe.yaml`: the shape, adapters of rank 2, rows of 24
    /// tokens, and what `more` says.
    pub(crate) fn new(layers: usize, more: &str) -> Self {
        let practice = Self(tempfile::tempdir().expect("a folder"));
        pieces(&practice.path("midi"));
        let shape =
            format!("hidden_size: 16\nnum_hidden_layers: {layers}\nnum_attention_heads: 2\nintermediate_size: 32\n");
        std::fs::write(practice.path("tiny.yaml"), shape).expect("written");
        let recipe = format!("base_model: tiny.yaml\nr: 2\nmax_seq_len: 24\nval: 0.3\n{more}");
        std::fs::write(practice.path("recipe.yaml"), recipe).expect("written");
        practice
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A program in the folder, with nothing to read.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// `etude` on one thread, in the folder.
    pub(crate) fn etude(&self, args: &[&str]) -> Command {
        let mut command = self.command(etude());
        command.args(["--threads", "1"]).args(args);
        command
    }
}

/// The program.
pub(crate) fn etude() -> &'static str {
    env!("CARGO_BIN_EXE_etude")
}

/// Writes five pieces into a folder, which is made.
pub(crate) fn pieces(folder: &Path) {
    std::fs::create_dir(folder).expect("made");
    let script = "for i in 0..5 { chords(`Dm7 G7 Cmaj7 A7`).transpose(i).score().save(`${args[0]}/${i}.mid`) }";
    let made = Command::new(etude()).args(["-e", script]).arg(folder).output().expect("it runs");
    assert!(made.status.success(), "{}", err(&made));
}

/// Sends a signal to a process; whether it could be sent.
#[cfg(unix)]
pub(crate) fn send_signal(process: u32, signal: Signal) -> bool {
    i32::try_from(process).is_ok_and(|pid| kill(nix::unistd::Pid::from_raw(pid), signal).is_ok())
}

/// The standard error of a process, as text.
pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The answer.
pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The last step that a run has a checkpoint of.
pub(crate) fn steps(run: &Path) -> Option<u64> {
    let checkpoints = std::fs::read_dir(run).ok()?.flatten();
    checkpoints.filter_map(|e| e.file_name().to_str()?.strip_prefix("checkpoint-")?.parse().ok()).max()
}
