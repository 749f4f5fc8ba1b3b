//! Memory use of the program and the machine; runs other programs to measure them.

use std::process::{Command, Stdio};
use std::time::Duration;

use rhai::{Array, Dynamic};

use crate::error::{Error, Result};
use crate::script::context::ScriptContext;
use crate::script::convert::text;
use crate::script::failure::Fallible;
use crate::script::registry::Registry;
use crate::{track, train};

/// The interval at which a measured program is polled.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "peak_memory() -> int",
        "The most bytes of memory the program has had since it began or since reset_peak_memory(), on a GPU those of the tensors there; () where the system does not say.",
        move || train::peak_memory(&ctx.device()).map_or(Dynamic::UNIT, |bytes| Dynamic::from(bytes as i64)),
    );
    let ctx = registry.ctx();
    registry.function("reset_peak_memory()", "Begins to measure peak_memory() anew.", move || {
        train::reset_peak_memory(&ctx.device());
    });
    registry.function(
        "machine() -> string",
        "What machine this is: processors, their name, memory; to stand beside figures.",
        track::machine,
    );
    let ctx = registry.ctx();
    registry.function(
        "apart(words: array) -> string",
        "Runs this program once more with a command line, in a process of its own, and gives what it prints: apart([\"run\", \"a.rhai\"]). What takes memory there takes none here.",
        move |words: Array| -> Fallible<String> {
            let words = words.iter().map(|word| text("a word of the command line", word)).collect::<Result<Vec<_>>>()?;
            Ok(apart(&ctx, &words)?)
        },
    );
}

fn apart(ctx: &ScriptContext, words: &[String]) -> Result<String> {
    let line = format!("etude {}", words.join(" "));
    let failed = |e| Error::io("cannot run", &line, e);
    let program = std::env::current_exe().map_err(failed)?;
    let mut out = tempfile::tempfile().map_err(failed)?;
    let mut err = tempfile::tempfile().map_err(failed)?;
    let (to_out, to_err) = (out.try_clone().map_err(failed)?, err.try_clone().map_err(failed)?);
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(to_out).stderr(to_err);
    let mut child = command.spawn().map_err(failed)?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if let Err(stop) = ctx.progress().check() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(stop);
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let read = |file: &mut std::fs::File| -> Result<String> {
        use std::io::{Read, Seek};
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(failed)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (stdout, stderr) = (read(&mut out)?, read(&mut err)?);
    if status.success() {
        return Ok(stdout);
    }
    let error = Error::mistake(format!("{line} ended with {status}"));
    let last: Vec<&str> = stderr.lines().rev().take(5).collect();
    Err(match last.is_empty() {
        true => error,
        false => error.with_hint(last.into_iter().rev().collect::<Vec<_>>().join("\n        ")),
    })
}
