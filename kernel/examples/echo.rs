//! A whole kernel for a language that repeats its input.
//!
//! Install: `cargo run -p etude-kernel --example echo -- install`, then choose "Echo" in Jupyter.

use std::path::Path;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use etude_kernel::echo::Echo;
use etude_kernel::{Kernelspec, Place, Stop, install, read_connection, serve};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = std::env::args().nth(1).ok_or("usage: echo install | echo CONNECTION_FILE")?;
    if argument == "install" {
        let program = std::env::current_exe()?.display().to_string();
        let spec = Kernelspec {
            name: "echo".into(),
            display_name: "Echo".into(),
            language: "echo".into(),
            argv: vec![program, "{connection_file}".into()],
            ..Kernelspec::default()
        };
        install(&spec, &Place::User)?;
        return Ok(());
    }
    let flag = Arc::new(AtomicBool::new(false));
    let brake = flag.clone();
    let stop = Stop::new(move || brake.store(true, Ordering::SeqCst));
    serve(&read_connection(Path::new(&argument))?, stop, move |outbox, stdin| Ok(Echo::with(outbox, stdin, flag)))?;
    // A cell may still run on its thread.
    exit(0)
}
