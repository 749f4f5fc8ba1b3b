//! Splits: packed rows of one length.

use std::fmt;
use std::sync::Arc;

use crate::data::ids::Ids;
use crate::data::{Batch, IGNORE, Packing};
use crate::error::{Error, Result};
use crate::tokens::{AnnouncedClick, TokenKind, Tokenizer};

/// Packed rows; clones share them.
#[derive(Clone)]
pub struct Split {
    ids: Arc<Ids>,
    width: usize,
    tokens: u64,
    rules: Arc<VocabularyRules>,
    packing: Packing,
    /// The tokenizer that makes pairs of its rows, where these are handed out.
    pairs: Option<Arc<Tokenizer>>,
}

/// The vocabulary properties that a split needs.
#[derive(Debug)]
pub(super) struct VocabularyRules {
    /// The number of ids.
    pub(super) vocab_size: usize,
    /// The id of padding.
    pub(super) pad: u32,
    /// The id at the beginning of every piece.
    pub(super) bos: u32,
    /// For every id, whether it is predicted.
    roles: Vec<LabelRole>,
}

/// Whether an id is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LabelRole {
    /// It is.
    Predicted,
    /// It is given: padding, chords, styles.
    Given,
    /// It is, and announces a click; the time up to it is given.
    Click,
    /// Time, in steps; up to a click it is given.
    Shift(u32),
}

impl VocabularyRules {
    /// The rules of a tokenizer's vocabulary.
    pub(super) fn new(tokenizer: &Tokenizer) -> Self {
        let (vocab_size, pad) = (tokenizer.vocab_size(), tokenizer.pad());
        let role = |id: u32| match (tokenizer.kind(id), tokenizer.time_shift(id)) {
            _ if id == pad => LabelRole::Given,
            (TokenKind::Chord | TokenKind::Style | TokenKind::Tempo, _) => LabelRole::Given,
            (TokenKind::Click, _) => LabelRole::Click,
            (_, Some(steps)) => LabelRole::Shift(steps),
            _ => LabelRole::Predicted,
        };
        let roles = (0..vocab_size as u32).map(role).collect();
        Self { vocab_size, pad, bos: tokenizer.bos(), roles }
    }

    /// For each id of a row whether it is given.
    fn given(&self, row: &[u32]) -> impl Iterator<Item = bool> {
        let mut click = AnnouncedClick::none();
        row.iter().map(move |&id| {
            let role = self.roles[id as usize];
            let shift = if let LabelRole::Shift(steps) = role { Some(steps) } else { None };
            click.reached_before(shift);
            let given = role == LabelRole::Given || click.ahead().is_some();
            click.reached_after(shift);
            if role == LabelRole::Click {
                click.announce(());
            }
            given
        })
    }

    /// The labels of a row: the id after each, or [`IGNORE`] where it is given. Where pieces are `separate`, the end of one
    /// does not predict that another begins.
    pub(super) fn labels(&self, row: &[u32], separate: bool) -> impl Iterator<Item = u32> {
        let begins = move |id: u32| separate && id == self.bos;
        let with_given = row.iter().zip(self.given(row)).skip(1);
        let labels = with_given.map(move |(&id, given)| if given || begins(id) { IGNORE } else { id });
        labels.chain((!row.is_empty()).then_some(IGNORE))
    }
}

impl Split {
    /// A split of given rows; a row shorter than the longest is padded.
    ///
    /// # Errors
    /// Names the row and the id that is not in the vocabulary.
    ///
    /// ```
    /// # use etude::data::Split;
    /// # use etude::tokens::{Options, Tokenizer};
    /// # let tokenizer = Tokenizer::new("note_duration", &Options::default())?;
    /// let split = Split::from_rows(&[vec![1, 2], vec![1]], &tokenizer)?;
    /// assert_eq!((split.len(), split.width(), split.tokens()), (2, 2, 3));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn from_rows(rows: &[Vec<u32>], tokenizer: &Tokenizer) -> Result<Self> {
        let rules = VocabularyRules::new(tokenizer);
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut ids = Ids::with_capacity(rules.vocab_size, rows.len() * width);
        for (place, row) in rows.iter().enumerate() {
            if let Some(id) = row.iter().find(|&&id| id as usize >= rules.vocab_size) {
                let size = rules.vocab_size;
                return Err(Error::mistake(format!("row {place} has the id {id}, but the vocabulary has {size}")));
            }
            ids.extend(row.iter().copied());
            ids.resize((place + 1) * width, rules.pad);
        }
        Ok(Self::new(ids, width, Arc::new(rules)))
    }

    /// Rows of `width` from complete rows laid end to end.
    pub(super) fn new(ids: Ids, width: usize, rules: Arc<VocabularyRules>) -> Self {
        debug_assert!(ids.len() == 0 || ids.len().is_multiple_of(width), "rows are whole");
        let tokens = ids.range(0..ids.len()).filter(|&id| id != rules.pad).count() as u64;
        Self { ids: Arc::new(ids), width, tokens, rules, packing: Packing::Joined, pairs: None }
    }

    /// The same rows with another packing.
    #[must_use]
    pub fn with_packing(self, packing: Packing) -> Self {
        Self { packing, ..self }
    }

    /// The same rows, of whose batches `tokenizer` makes pairs.
    pub(super) fn with_pairs(self, tokenizer: Arc<Tokenizer>) -> Self {
        Self { pairs: Some(tokenizer), ..self }
    }

    /// What makes pairs of its batches, where these are handed out.
    pub(super) fn pairs(&self) -> Option<&Tokenizer> {
        self.pairs.as_deref()
    }

    /// Whether pieces in one row attend to each other.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// Lays `parts` end to end, cuts them into rows of `width` and fills the last one.
    pub(super) fn pack(parts: Vec<Ids>, width: usize, rules: Arc<VocabularyRules>) -> Self {
        let total: usize = parts.iter().map(Ids::len).sum();
        let mut ids = Ids::with_capacity(rules.vocab_size, total.next_multiple_of(width));
        parts.into_iter().for_each(|part| ids.append(&part));
        // A single id has nothing to predict.
        if total > width && total % width == 1 {
            ids.resize(total - 1, rules.pad);
        }
        ids.resize(ids.len().next_multiple_of(width), rules.pad);
        Self::new(ids, width, rules)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ids.len().checked_div(self.width).unwrap_or(0)
    }

    /// True when there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ids that are not padding.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Ids in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The same ids in rows of at most `longest`: each row is cut into equal parts. `None` when no such parts are
    /// nearly that long.
    ///
    /// ```
    /// use etude::data::Split;
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("performance", &Options::default())?;
    /// let split = Split::from_rows(&[vec![64; 8]], &tokenizer)?;
    /// let halves = split.within(5).expect("two rows of 4");
    /// assert_eq!((halves.len(), halves.width()), (2, 4));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn within(&self, longest: usize) -> Option<Self> {
        let parts =
            (1..=self.width.max(1)).find(|parts| self.width.is_multiple_of(*parts) && self.width / parts <= longest);
        let width = self.width / parts?;
        let near = width == self.width || 2 * width > longest;
        near.then(|| Self { width, ..self.clone() })
    }

    /// A row.
    pub fn row(&self, index: usize) -> Option<Vec<u32>> {
        (index < self.len()).then(|| self.ids_of(index).collect())
    }

    /// The batch of these rows, which must exist; pairs have more rows where several pieces share one.
    pub(super) fn batch(&self, rows: &[usize]) -> Batch {
        let mut tokens = Vec::with_capacity(rows.len() * self.width);
        rows.iter().for_each(|&row| tokens.extend(self.ids_of(row)));
        let mut labels = Vec::with_capacity(tokens.len());
        let separate = self.packing == Packing::Masked;
        for row in tokens.chunks_exact(self.width.max(1)) {
            labels.extend(self.rules.labels(row, separate));
        }
        let position_ids = if separate { self.position_ids(&tokens) } else { None };
        self.as_pairs(Batch {
            input_ids: tokens,
            labels,
            position_ids,
            rows: rows.len(),
            width: self.width,
            ..Batch::default()
        })
    }

    /// The position of each id in its piece, as far as the row holds it; `None` where every row is one piece.
    fn position_ids(&self, tokens: &[u32]) -> Option<Vec<u32>> {
        let begins = |row: &[u32]| row[1..].contains(&self.rules.bos);
        let rows = || tokens.chunks_exact(self.width.max(1));
        rows().any(begins).then(|| {
            let counted = rows().flat_map(|row| {
                row.iter().scan(None, |last: &mut Option<u32>, &id| {
                    *last = Some(last.filter(|_| id != self.rules.bos).map_or(0, |last| last + 1));
                    *last
                })
            });
            counted.collect()
        })
    }

    /// All ids, including padding.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.ids.range(0..self.ids.len())
    }

    /// The vocabulary's rules.
    pub(super) fn rules(&self) -> &VocabularyRules {
        &self.rules
    }

    fn ids_of(&self, row: usize) -> impl Iterator<Item = u32> + '_ {
        self.ids.range(row * self.width..(row + 1) * self.width)
    }
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Split").field("rows", &self.len()).field("width", &self.width).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Rows of one length over the ids 0 to 99, none of which is padding or a chord.
    pub(in crate::data) fn split(rows: &[Vec<u32>]) -> Split {
        let rules = VocabularyRules { vocab_size: 100, pad: 100, bos: 101, roles: vec![LabelRole::Predicted; 100] };
        let mut all = Ids::with_capacity(100, 0);
        rows.iter().for_each(|row| all.extend(row.iter().copied()));
        Split::new(all, rows.first().map_or(2, Vec::len), Arc::new(rules))
    }

    /// Ids 0 (padding) to 9; 3 is a chord.
    fn rules() -> Arc<VocabularyRules> {
        Arc::new(VocabularyRules {
            vocab_size: 10,
            pad: 0,
            bos: 1,
            roles: (0..10).map(|id| if id == 0 || id == 3 { LabelRole::Given } else { LabelRole::Predicted }).collect(),
        })
    }

    fn ids(list: &[u32]) -> Ids {
        let mut ids = Ids::with_capacity(10, 0);
        ids.extend(list.iter().copied());
        ids
    }

    #[test]
    fn pieces_are_laid_end_to_end_and_the_last_row_is_filled() {
        let split = Split::pack(vec![ids(&[1, 5, 6, 2]), ids(&[1, 7, 2])], 5, rules());
        assert_eq!((split.len(), split.tokens(), split.width()), (2, 7, 5));
        assert_eq!(split.row(0), Some(vec![1, 5, 6, 2, 1]));
        assert_eq!(split.row(1), Some(vec![7, 2, 0, 0, 0]));
        assert_eq!(split.row(2), None);
    }

    #[test]
    fn a_last_row_of_one_id_is_left_out() {
        let split = Split::pack(vec![ids(&[1, 5, 6, 2, 1, 7, 2])], 3, rules());
        assert_eq!((split.len(), split.tokens()), (2, 6));
        let split = Split::pack(vec![ids(&[1, 5, 6, 2, 1, 7])], 3, rules());
        assert_eq!((split.len(), split.tokens()), (2, 6));
    }

    #[test]
    fn labels_are_what_follows_but_for_chords_padding_and_the_end() {
        let split = Split::pack(vec![ids(&[1, 3, 5, 6, 3, 7, 2])], 4, rules());
        let batch = split.batch(&[1, 0]);
        assert_eq!((batch.rows, batch.width), (2, 4));
        assert_eq!(batch.input_ids, [3, 7, 2, 0, 1, 3, 5, 6]);
        assert_eq!(batch.labels, [7, 2, IGNORE, IGNORE, IGNORE, 5, 6, IGNORE]);
    }

    #[test]
    fn masked_rows_count_positions_anew_in_each_piece() {
        let joined = Split::pack(vec![ids(&[1, 5, 6, 2]), ids(&[1, 7, 2]), ids(&[1, 5, 7, 6, 2])], 6, rules());
        let masked = joined.clone().with_packing(Packing::Masked);
        let batch = masked.batch(&[0, 1]);
        assert_eq!(batch.input_ids, [1, 5, 6, 2, 1, 7, 2, 1, 5, 7, 6, 2]);
        assert_eq!(batch.position_ids, Some(vec![0, 1, 2, 3, 0, 1, 0, 0, 1, 2, 3, 4]));
        assert_eq!(batch.labels, [5, 6, 2, IGNORE, 7, IGNORE, IGNORE, 5, 7, 6, 2, IGNORE]);
        assert_eq!(joined.batch(&[0, 1]).position_ids, None);
        assert_eq!(joined.batch(&[0]).labels, [5, 6, 2, 1, 7, IGNORE]);
        let whole = Split::pack(vec![ids(&[1, 5, 6, 2, 1, 7])], 4, rules()).with_packing(Packing::Masked);
        assert_eq!(whole.batch(&[0]).position_ids, None, "a row that is one piece has no boundaries");
    }

    #[test]
    fn long_rows_are_cut_into_equal_parts() {
        let split = Split::pack(vec![ids(&[1, 5, 6, 7, 5, 7, 6, 2])], 4, rules());
        let halves = split.within(3).expect("4 is twice 2");
        assert_eq!((halves.len(), halves.width(), halves.tokens()), (4, 2, 8));
        assert_eq!(halves.row(1), Some(vec![6, 7]));
        assert_eq!(split.within(9).map(|same| same.width()), Some(4));
        let odd = Split::pack(vec![ids(&[1, 5, 6, 7, 2])], 5, rules());
        assert!(odd.within(4).is_none(), "5 has no parts but 1");
    }

    #[test]
    fn no_pieces_make_no_rows() {
        let split = Split::pack(Vec::new(), 4, rules());
        assert!(split.is_empty() && split.row(0).is_none() && split.tokens() == 0);
    }
}
