//! A dataset as HTML: its splits, and histograms of its training rows.

use crate::data;
use crate::plot;
use crate::script::html::{self, Cell};
use crate::script::one_line::thousands;

/// The most rows read for a histogram, spread over the dataset.
const ROWS: usize = 2000;
/// The most skipped files listed.
const SKIPPED: usize = 20;

/// The whole page.
pub(super) fn page(data: &data::Dataset, line: &str) -> String {
    let stats = data.stats();
    let row = |name: &str, i: usize, files: usize| {
        let number = |n: u64| Cell::Number(thousands(n as usize));
        vec![Cell::Word(name.into()), number(files as u64), number(stats.rows[i] as u64), number(stats.tokens[i])]
    };
    let held = data.val_files.len();
    let rows = [row("train", 0, stats.files.saturating_sub(held)), row("val", 1, held)];
    let mut page = html::heading(line) + html::table(&["split", "files", "rows", "tokens"], &rows).as_str();
    if !data.broken.is_empty() {
        let row = |b: &data::SkippedFile| vec![Cell::Word(b.path.display().to_string()), Cell::Word(b.reason.clone())];
        let rows: Vec<Vec<Cell>> = data.broken.iter().take(SKIPPED).map(row).collect();
        page += &html::folded(
            &format!("{} file{} skipped", data.broken.len(), if data.broken.len() == 1 { "" } else { "s" }),
            &html::table(&["file", "why"], &rows),
            false,
        );
    }
    format!("<div>{page}</div>")
}

/// Kinds of tokens, lengths of pieces, pitches.
pub(super) fn histograms(data: &data::Dataset) -> Vec<String> {
    let (split, tokenizer, stats) = (&data.train, &data.tokenizer, data.stats());
    let every = split.len().div_ceil(ROWS).max(1);
    let of = if every > 1 { format!(" (every {every}. row)") } else { String::new() };
    let mut pitches = vec![0.0; 128];
    let mut lengths = Vec::new();
    // A piece may span rows; if rows are left out, its length is unknown.
    let mut begun: Option<usize> = None;
    let mut at = 0;
    for index in (0..split.len()).step_by(every) {
        for id in split.row(index).unwrap_or_default() {
            at += 1;
            if let Some(pitch) = tokenizer.pitch(id) {
                pitches[usize::from(pitch.min(127))] += 1.0;
            }
            if id == tokenizer.bos() {
                begun = Some(at);
            } else if id == tokenizer.eos() {
                lengths.extend(begun.take().map(|from| (at - from) as f64));
            }
        }
        if every > 1 {
            begun = None;
        }
    }
    let kinds: Vec<(String, f64)> =
        stats.kinds.iter().map(|(kind, n)| (format!("{kind:?}").to_lowercase(), *n as f64)).collect();
    let mut all = vec![plot::bars("tokens of each kind", &kinds)];
    let heard = |p: &f64| *p > 0.0;
    if let (Some(low), Some(high)) = (pitches.iter().position(heard), pitches.iter().rposition(heard)) {
        let name = |pitch: usize| if pitch.is_multiple_of(12) { plot::pitch_name(pitch as u8) } else { String::new() };
        let counts: Vec<(String, f64)> = (low..=high).map(|pitch| (name(pitch), pitches[pitch])).collect();
        all.push(plot::bars(&format!("notes of each pitch{of}"), &counts));
    }
    if lengths.len() > 1 {
        all.push(plot::bars("tokens of a piece", &plot::histogram(&lengths, 24)));
    }
    all
}
