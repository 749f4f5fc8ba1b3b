//! The integration tests: one binary, a module a theme.

mod cli;
mod data;
mod examples;
mod floors;
mod folders;
mod golden_nf4;
mod llama;
mod peers;
mod repl;
mod scripts;
mod store;
