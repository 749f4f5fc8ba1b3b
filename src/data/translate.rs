//! Re-encodes rows with another tokenizer: decoded, then encoded.
//!
//! A model works with one tokenizer. Ids of another are converted in this way without the files; information that is
//! only in the file (its beats) is lost, and so is what was cut off at the edge of a batch.

use std::sync::Arc;

use crate::data::ids::Ids;
use crate::data::split::VocabularyRules;
use crate::data::{Batch, Dataset, Packing, Source, Split};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::tokens::Tokenizer;

impl Split {
    /// The same pieces in the ids of `to`, in rows of the same width; not as pairs.
    pub fn translated(&self, from: &Tokenizer, to: &Tokenizer) -> Self {
        let ids: Vec<u32> = self.ids().collect();
        Self::pack(vec![translate(&ids, from, to)], self.width(), Arc::new(VocabularyRules::new(to)))
            .with_packing(self.packing())
    }
}

impl Batch {
    /// The same rows in the ids of `to`: truncated or padded to their width.
    #[must_use]
    pub fn translated(&self, from: &Tokenizer, to: &Tokenizer) -> Self {
        let rules = Arc::new(VocabularyRules::new(to));
        let rows = self.input_ids.chunks_exact(self.width.max(1)).map(|row| {
            let mut ids = translate(row, from, to);
            ids.resize(self.width, rules.pad);
            ids
        });
        let mut all = Ids::with_capacity(rules.vocab_size, self.input_ids.len());
        rows.for_each(|row| all.append(&row));
        let packing = if self.position_ids.is_some() { Packing::Masked } else { Packing::Joined };
        Split::new(all, self.width, rules).with_packing(packing).batch(&(0..self.rows).collect::<Vec<_>>())
    }
}

impl Dataset {
    /// The same files encoded with another tokenizer.
    ///
    /// # Errors
    /// A dataset that was read from disk, whose files may be gone; those of [`Dataset::build`].
    pub fn with_tokenizer(&self, tokenizer: Arc<Tokenizer>, progress: &Progress) -> Result<Self> {
        if let Some(folder) = &self.source {
            let (has, needed) = (self.tokenizer.scheme(), tokenizer.scheme());
            let message = format!("the dataset in {} is encoded as {has}, the model uses {needed}", folder.display());
            return Err(Error::mistake(message).with_hint(format!("prepare it anew with --tokenizer {needed}")));
        }
        let plain = [Source::of(&self.files)];
        let sources = if self.sources.is_empty() { &plain[..] } else { &self.sources };
        Self::build_from(sources, tokenizer, &self.options, progress)
    }
}

/// Converts pieces and parts of pieces, with BOS and EOS where they have them; padding is dropped.
fn translate(ids: &[u32], from: &Tokenizer, to: &Tokenizer) -> Ids {
    let mut all = Ids::with_capacity(to.vocab_size(), ids.len());
    let mut rest = ids;
    while !rest.is_empty() {
        // Up to the next BOS that is not the first id.
        let end = rest.iter().skip(1).position(|&id| id == from.bos()).map_or(rest.len(), |at| at + 1);
        let (piece, others) = rest.split_at(end);
        rest = others;
        if piece[0] == from.bos() {
            all.push(to.bos());
        }
        all.extend(to.encode(&from.decode(piece)));
        if piece.iter().rfind(|&&id| id != from.pad()) == Some(&from.eos()) {
            all.push(to.eos());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Marker, Note, Score, Track};
    use crate::tokens::Options;

    fn piece(low: u8) -> Score {
        let mut score = Score::new(50);
        let note = |i: u32| Note { start: 30 * i, pitch: low + (i % 9) as u8, end: 30 * i + 25, velocity: 66 };
        score.tracks.push(Track { notes: (0..20).map(note).collect(), ..Track::default() });
        score.markers.push(Marker { tick: 0, text: "chord:G7".into() });
        score
    }

    #[test]
    fn rows_of_one_tokenizer_become_rows_of_another() {
        let options = Options::default();
        let [from, to] = ["performance", "note_duration"].map(|name| Tokenizer::new(name, &options).expect("known"));
        let frame = |t: &Tokenizer, score: &Score| [vec![t.bos()], t.encode(score), vec![t.eos()]].concat();
        let pieces = [piece(50), piece(60)];
        let ids = |t: &Tokenizer| {
            let mut all = Ids::with_capacity(t.vocab_size(), 0);
            pieces.iter().for_each(|score| all.extend(frame(t, score)));
            all
        };
        let split = |t: &Tokenizer| Split::pack(vec![ids(t)], 64, Arc::new(VocabularyRules::new(t)));
        let rows = |split: &Split| (0..split.len()).filter_map(|row| split.row(row)).collect::<Vec<_>>();
        assert_eq!(rows(&split(&from).translated(&from, &to)), rows(&split(&to)));

        let whole = Split::from_rows(&[frame(&from, &pieces[0]), frame(&from, &pieces[1])], &from).expect("in range");
        let batch = whole.batch(&[0, 1]);
        let translated = batch.translated(&from, &to);
        assert_eq!((translated.rows, translated.width, translated.labels.len()), (2, batch.width, batch.labels.len()));
        for (row, score) in translated.input_ids.chunks(batch.width).zip(&pieces) {
            let translated: Vec<u32> = row.iter().copied().take_while(|&id| id != to.pad()).collect();
            assert_eq!(translated, frame(&to, score));
        }
    }
}
