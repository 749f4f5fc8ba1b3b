//! The integration tests: one binary, a module a theme.

#![allow(clippy::unwrap_used)] // a test that cannot set itself up has failed

mod adapters;
mod cases;
mod cli;
mod data;
mod definitions;
mod disk;
mod evaluation;
mod examples;
mod expected;
mod families;
mod files;
mod floors;
mod folders;
mod golden_nf4;
mod imports;
mod kill;
mod llama;
mod midi;
mod midi_cases;
mod music_transformer;
mod notebook;
mod notebook_files;
mod onnx;
mod padding;
mod peers;
mod pictures;
mod practice;
mod ranks;
mod readme;
mod repl;
mod resume;
mod scripts;
mod store;
mod sweep;
mod t5;
mod train;
mod words;
