//! The binary: passes the command line to the library.

mod cli;
mod launch;
mod logging;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: etude::allocator::Allocator = etude::allocator::Allocator;

fn main() -> ExitCode {
    // The operating system keeps only the lowest eight bits of an exit code.
    ExitCode::from(cli::main().rem_euclid(256) as u8)
}
