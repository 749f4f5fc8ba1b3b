//! A run that is killed, twenty times over, and goes on each time: the losses of one that never stopped, bit for bit.

#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::practice::pieces;

/// Begins a run, or goes on with it; writes the losses when it is at its end.
const SCRIPT: &str = r#"
let dir = args[0];
let out = args[1];
let run = ();
if latest_checkpoint(out) != "" { run = resume(out) } else {
    seed(3);
    let tok  = tokenizer("performance");
    let data = dataset(dir, tok, #{ max_seq_len: 24, val: 0.3, seed: 3 });
    let net  = model(#{ vocab_size: tok.vocab_size, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32, max_position_embeddings: 32 })
        .lora(#{ r: 2, lora_dropout: 0.2 });
    run = trainer(net, data, #{ lr: 1e-2, batch_size: 2, gradient_accumulation_steps: 2, max_steps: 160, warmup_steps: 5, eval_every: 50,
        eval_batches: 1, checkpoint_every: 4, save_total_limit: 2, ema: 0.9, bits: 8, out: out });
}
run.fit();
let text = "";
for loss in run.history.losses { text += `${loss}` + "\n" }
for loss in run.history.val_losses { text += `held out ${loss}` + "\n" }
write(out + "/losses.txt", text);
"#;

/// Kills that must hit a run at work.
const KILLS: usize = 20;

fn begin(dir: &Path, out: &Path) -> std::process::Child {
    let script = dir.join("run.rhai");
    std::fs::write(&script, SCRIPT).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_etude"));
    command.args(["--threads", "1", "run"]).arg(script).arg(dir.join("midi")).arg(out);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs")
}

fn losses(out: &Path) -> Option<String> {
    std::fs::read_to_string(out.join("losses.txt")).ok()
}

#[test]
fn a_run_killed_twenty_times_has_the_losses_of_one_that_never_stopped() {
    let dir = tempfile::tempdir().expect("a folder");
    pieces(&dir.path().join("midi"));
    let whole = dir.path().join("whole");
    let began = Instant::now();
    let done = begin(dir.path(), &whole).wait_with_output().expect("it ends");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let took = began.elapsed();
    let wanted = losses(&whole).expect("the losses are written");
    assert_eq!(wanted.lines().count(), 160 + 4);

    let (mut kills, mut state, mut runs) = (0, 0x2545_f491_4f6c_dd1d_u64, 0);
    // On a busy machine a run may be at its end before it was killed so often: then there is another.
    while kills < KILLS {
        runs += 1;
        let part = dir.path().join(format!("part{runs}"));
        while losses(&part).is_none() {
            let mut child = begin(dir.path(), &part);
            if kills < KILLS {
                // Anywhere from the start of the program to a sixteenth of the whole run.
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let share = (state >> 40) as f64 / (1_u64 << 24) as f64;
                std::thread::sleep(Duration::from_millis(5) + took.mul_f64(0.0625 * share));
                kills += usize::from(child.try_wait().expect("asked").is_none());
                child.kill().expect("SIGKILL");
                child.wait().expect("reaped");
            } else {
                let done = child.wait_with_output().expect("it ends");
                assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            }
        }
        assert_eq!(losses(&part).as_deref(), Some(wanted.as_str()));
        let left: Vec<_> =
            std::fs::read_dir(&part).expect("listed").map(|e| e.expect("an entry").file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().starts_with('.')), "{left:?}");
    }
}
