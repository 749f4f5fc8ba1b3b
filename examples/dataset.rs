//! Builds a dataset from a folder of MIDI files, or opens one that was saved, and says what is in it.
//!
//! ```text
//! cargo run --release --example dataset -- examples/midi            builds and counts
//! cargo run --release --example dataset -- examples/midi saved      and saves it for Étude and for Hugging Face
//! cargo run --release --example dataset -- saved                    opens it again
//! ```
#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use etude::data::{Augment, Dataset, DatasetOptions};
use etude::progress::Progress;
use etude::tokens::{Options, Tokenizer};

fn main() -> etude::Result<()> {
    let mut args = std::env::args().skip(1);
    let from = PathBuf::from(args.next().unwrap_or_else(|| "examples/midi".into()));
    let data = if Dataset::is_saved(&from) { Dataset::load(&from)? } else { build(&from)? };
    let stats = data.stats();
    println!("{} files, {} skipped", stats.files, stats.broken);
    for skipped in &data.broken {
        println!("  {}: {}", skipped.path.display(), skipped.reason);
    }
    for (name, side) in [("train", 0), ("val", 1)] {
        println!("{name:<6}{:>8} rows of {}, {} tokens", stats.rows[side], stats.width, stats.tokens[side]);
    }
    for (kind, count) in &stats.kinds {
        println!("  {:<10}{count:>10}", format!("{kind:?}"));
    }
    if let Some(to) = args.next() {
        data.save(Path::new(&to))?;
        println!("saved in {to}");
    }
    Ok(())
}

/// Twelve keys and three tempi of every piece, a tenth of the pieces held out.
fn build(folder: &Path) -> etude::Result<Dataset> {
    let tokenizer = Arc::new(Tokenizer::new("performance", &Options::default())?);
    let augment = Augment { transpose: 12, tempo: vec![0.9, 1.0, 1.1], sample: None };
    let options = DatasetOptions { augment, val: 0.1, seed: 7, ..DatasetOptions::default() };
    Dataset::build(&[folder.to_path_buf()], tokenizer, &options, &Progress::silent())
}
