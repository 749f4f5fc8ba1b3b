//! Étude: a practice room for music transformers.
//!
//! MIDI files become events; 4-bit QLoRA adapters are put on a transformer, which is fine-tuned step by step or in one
//! call and generates solos over a chord progression. All of it is driven from a small script language, in a terminal
//! or in a notebook.
//!
//! # The floors
//! A module uses the floors below it only; `tests/it/floors.rs` enforces the order. `src/ARCHITECTURE.md` follows a MIDI file
//! to a loss, a cell to a picture and a token through the decoder.
//!
//! | floor | modules | what they know |
//! |---|---|---|
//! | 10 | `cli.rs`, `launch.rs`, `logging.rs`, `main.rs` | the command line; ranks on one machine; logs |
//! | 9 | [`repl`], [`notebook`] | the terminal; the Jupyter kernel |
//! | 8 | [`script`] | Rhai: a session and one file an object |
//! | 7 | [`config`] | YAML and overrides become typed settings |
//! | 6 | [`metrics`], [`audio`], [`plot`], [`track`], [`sweep`], [`mod@bench`], [`export`] | metrics of models and scores, sound, pictures, experiment tracking, hyper-parameter search, benchmarks, ONNX; siblings |
//! | 5 | [`train`], [`generate`] | the training step, the sampling loop; siblings |
//! | 4 | [`nn`] | candle: ops, quantisation, adapters, the transformer |
//! | 3 | [`data`] | folders of MIDI become batches |
//! | 2 | [`tokens`] | a score becomes numbers and comes back |
//! | 1 | [`midi`], [`harmony`] | scores and chords, plain data |
//! | 0 | [`allocator`], [`atomic`], [`error`], [`files`], [`forms`], [`interrupt`], [`progress`], [`proto`] | errors, interrupts, progress, files: used by all floors |

pub mod allocator;
pub mod atomic;
pub mod error;
pub mod files;
pub mod forms;
pub mod interrupt;
pub mod progress;
pub mod proto;

pub mod harmony;
pub mod midi;

pub mod tokens;

pub mod data;

pub mod nn;

pub mod generate;
pub mod train;

pub mod audio;
pub mod bench;
pub mod export;
pub mod metrics;
pub mod plot;
pub mod sweep;
pub mod track;

pub mod config;

pub mod script;

pub mod notebook;
pub mod repl;

pub use error::{Error, Result};
