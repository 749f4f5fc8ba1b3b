//! Rows as an encoder–decoder reads them: the chart of each piece, or part of one, into the encoder, its events into the
//! decoder.
//!
//! Pairs are made of a batch's rows when it is handed out: rows are stored, shuffled and counted the same way whatever model
//! reads them. A row whose pieces do not attend to each other becomes a row a piece, since an encoder reads one chart a row.

use std::sync::Arc;

use crate::data::split::VocabularyRules;
use crate::data::{Batch, Condition, Dataset, EncoderInput, IGNORE, Packing, Split};
use crate::error::Result;
use crate::tokens::Tokenizer;

impl Batch {
    /// The same rows as pairs: `encoder` holds the charts, each closed by EOS, the rest the events.
    ///
    /// # Errors
    /// Refuses encodings without chord tokens.
    ///
    /// ```
    /// use etude::data::Split;
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("performance", &Options::default())?;
    /// let ids = |names: &[&str]| -> etude::Result<Vec<u32>> { names.iter().map(|name| tokenizer.id(name)).collect() };
    /// let row = ids(&["BOS_None", "Chord_C:maj", "Velocity_16", "NoteOn_60", "TimeShift_50", "NoteOff_60", "EOS_None"])?;
    /// let batch = Split::from_rows(&[row], &tokenizer)?.in_order(1).next().expect("one batch");
    /// let pairs = batch.paired(&tokenizer)?;
    /// assert_eq!(pairs.encoder.expect("charts").input_ids, ids(&["Chord_C:maj", "EOS_None"])?);
    /// assert_eq!(pairs.input_ids, ids(&["BOS_None", "Velocity_16", "NoteOn_60", "TimeShift_50", "NoteOff_60", "EOS_None"])?);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn paired(&self, tokenizer: &Tokenizer) -> Result<Self> {
        self.paired_by(&VocabularyRules::new(tokenizer), self.position_ids.is_some(), tokenizer)
    }

    /// [`Batch::paired`] by rules that are known; `separate` says that pieces in a row do not attend to each other.
    pub(super) fn paired_by(&self, rules: &VocabularyRules, separate: bool, tokenizer: &Tokenizer) -> Result<Self> {
        let (mut charts, mut rows): (Vec<Vec<u32>>, Vec<Vec<u32>>) = Default::default();
        for row in self.input_ids.chunks_exact(self.width.max(1)) {
            let length = row.iter().rposition(|&id| id != rules.pad).map_or(0, |last| last + 1);
            let begins = |before: &u32, id: &u32| *id == rules.bos && *before != rules.pad;
            let parts: Vec<&[u32]> = match separate {
                true => row[..length].chunk_by(|before, id| !begins(before, id)).collect(),
                false => vec![&row[..length]],
            };
            for part in parts {
                let mut pair = tokenizer.pair(part)?;
                pair.chart.push(tokenizer.eos());
                // Rows without anything to predict are left out, unless there is no other.
                if rules.labels(&pair.events, separate).any(|label| label != IGNORE) {
                    charts.push(pair.chart);
                    rows.push(pair.events);
                }
            }
        }
        if rows.is_empty() {
            (charts, rows) = (vec![vec![tokenizer.eos()]], vec![vec![rules.pad; self.width.max(1)]]);
        }
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut batch = Self { rows: rows.len(), width, ..Self::default() };
        for mut row in rows {
            row.resize(width, rules.pad);
            batch.labels.extend(rules.labels(&row, separate));
            batch.input_ids.extend(row);
        }
        batch.encoder = Some(EncoderInput::padded(&charts, rules.pad));
        Ok(batch)
    }
}

impl Split {
    /// The same rows, handed out as pairs.
    ///
    /// # Errors
    /// Refuses encodings without chord tokens.
    pub fn paired(self, tokenizer: &Arc<Tokenizer>) -> Result<Self> {
        tokenizer.check_pairs()?;
        Ok(self.with_pairs(tokenizer.clone()))
    }

    /// Whether its batches are pairs.
    pub fn is_paired(&self) -> bool {
        self.pairs().is_some()
    }

    /// Makes pairs of a batch where these are asked for.
    pub(super) fn as_pairs(&self, batch: Batch) -> Batch {
        let separate = self.packing() == Packing::Masked;
        let made = self.pairs().map(|tokenizer| batch.paired_by(self.rules(), separate, tokenizer));
        match made {
            // It cannot fail: the tokenizer was asked before.
            Some(Ok(pairs)) => pairs,
            Some(Err(_)) | None => batch,
        }
    }
}

impl Dataset {
    /// The same data, handed out as pairs for an encoder–decoder.
    ///
    /// # Errors
    /// Refuses encodings without chord tokens.
    pub fn paired(mut self) -> Result<Self> {
        self.train = self.train.paired(&self.tokenizer)?;
        self.val = self.val.paired(&self.tokenizer)?;
        self.options.condition = Condition::Chords;
        Ok(self)
    }

    /// Whether its batches are pairs.
    pub fn is_paired(&self) -> bool {
        self.train.is_paired()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Options;

    fn tokenizer() -> Arc<Tokenizer> {
        Arc::new(Tokenizer::new("performance", &Options::default()).expect("a tokenizer"))
    }

    fn ids(names: &[&str]) -> Vec<u32> {
        names.iter().map(|name| tokenizer().id(name).expect("a token")).collect()
    }

    const C: [&str; 5] = ["Chord_C:maj", "Velocity_16", "NoteOn_60", "TimeShift_50", "NoteOff_60"];
    const G: [&str; 4] = ["Chord_G:7", "NoteOn_67", "TimeShift_30", "NoteOff_67"];

    fn row() -> Vec<u32> {
        let [bos, eos] = [["BOS_None"], ["EOS_None"]].map(|names| ids(&names));
        [ids(&G), eos.clone(), bos.clone(), ids(&C), eos, bos].concat()
    }

    #[test]
    fn pieces_that_do_not_see_each_other_are_rows_of_their_own() {
        let tokenizer = tokenizer();
        let rows = Split::from_rows(&[row()], &tokenizer).expect("rows").with_packing(Packing::Masked);
        let batch = rows.clone().paired(&tokenizer).expect("chords").in_order(1).next().expect("a batch");
        assert_eq!((batch.rows, batch.width), (2, 6), "the last BOS predicts nothing");
        let encoder = batch.encoder.clone().expect("charts");
        assert_eq!(encoder.input_ids, ids(&["Chord_G:7", "EOS_None", "Chord_C:maj", "EOS_None"]));
        assert_eq!(encoder.attention_mask, [true; 4]);
        let events = ["NoteOn_67", "TimeShift_30", "NoteOff_67", "EOS_None", "PAD_None", "PAD_None"];
        assert_eq!(batch.input_ids[..6], ids(&events));
        assert_eq!(batch.labels[..6], [ids(&events[1..4]), vec![IGNORE; 3]].concat());
        assert_eq!(batch.input_ids[6..], [ids(&["BOS_None"]), ids(&C[1..]), ids(&["EOS_None"])].concat());
        assert_eq!(batch.position_ids, None);
        let plain = rows.in_order(1).next().expect("a batch");
        assert_eq!(plain.paired(&tokenizer).expect("chords"), batch, "a batch becomes pairs by itself");
    }

    #[test]
    fn joined_rows_stay_one_row_with_one_chart() {
        let tokenizer = tokenizer();
        let rows = Split::from_rows(&[row()], &tokenizer).expect("rows").paired(&tokenizer).expect("chords");
        let batch = rows.in_order(1).next().expect("a batch");
        assert_eq!((batch.rows, batch.width), (1, 11));
        let chart = ids(&["Chord_G:7", "TimeShift_30", "Chord_C:maj", "EOS_None"]);
        assert_eq!(batch.encoder.expect("charts").input_ids, chart);
    }

    #[test]
    fn rows_without_chords_have_an_empty_chart_and_rows_without_events_predict_nothing() {
        let tokenizer = tokenizer();
        let batch = |row: Vec<u32>| {
            let rows = Split::from_rows(&[row], &tokenizer).expect("rows").paired(&tokenizer).expect("chords");
            rows.in_order(1).next().expect("a batch")
        };
        assert_eq!(batch(ids(&C[1..])).encoder.expect("charts").input_ids, [tokenizer.eos()]);
        let empty = batch(ids(&["Chord_C:maj", "PAD_None"]));
        assert_eq!((empty.rows, empty.labels), (1, vec![IGNORE; 2]));
        let remi = Arc::new(Tokenizer::new("remi", &Options::default()).expect("a tokenizer"));
        assert!(Split::from_rows(&[vec![1, 5]], &remi).expect("rows").paired(&remi).is_err());
    }
}
