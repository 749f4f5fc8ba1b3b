//! The binary: hands the command line to the library.

mod cli;
mod launch;

use std::process::ExitCode;

/// Tensors come and go in large blocks, which the system's allocator would hand back and fault in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    etude::nn::ops::keep_freed_memory(std::time::Duration::from_secs(60));
    // The system keeps the lowest eight bits of any exit code.
    ExitCode::from(cli::main().rem_euclid(256) as u8)
}
